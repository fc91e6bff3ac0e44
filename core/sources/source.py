"""What an audience file turned out to be."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

# 9999-12-31T23:59:59.999Z in milliseconds: the last instant that a datetime can hold.
LAST_INSTANT_MS = 253_402_300_799_999


class SourceFormat(StrEnum):
    """The forms in which an audience arrives: as a file, or live."""

    DOWNLOAD = "download"
    BUCKET = "bucket"
    STREAM = "stream"
    TABLE = "table"
    LIVE = "live"


@dataclass(frozen=True)
class Source:
    """An audience that has been read; its profiles are in the table `source`."""

    shape: SourceFormat
    #: The file holds the whole audience, rather than who joined and who left.
    is_snapshot: bool
    #: From the manifest, the file name or the rows.
    audience_id: str | None
    audience_name: str | None
    file_name: str
    #: Data rows of this audience, of which a profile can have several. Rows in which no cell holds anything are none.
    rows: int
    #: Some profile carries an mpid.
    has_mpid: bool
    #: The newest time stamp in the rows or the manifest.
    as_of: datetime | None
    #: Rows that tell of a person of whom another row tells: they share an mpid, or are equal in all their identities.
    merged_rows: int = 0
    #: Members without an mpid who have the customer id of another member, and another email.
    shared_customer_ids: int = 0
    #: What the column of the customer ids is called in the file.
    customer_id_column: str | None = None
    #: What a person should know of how the file was read, a sentence each.
    notes: tuple[str, ...] = ()


def instant(milliseconds: int | None) -> datetime | None:
    """The time that a time stamp stands for, or None where it stands for none."""
    if milliseconds is None or not 0 < milliseconds <= LAST_INSTANT_MS:
        return None
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)
