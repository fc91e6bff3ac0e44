"""The description of an audience that has been read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

# 9999-12-31T23:59:59.999Z in milliseconds: the last instant that a datetime can hold.
LAST_INSTANT_MS = 253_402_300_799_999


class SourceFormat(StrEnum):
    """The forms of an audience: kinds of files, or live changes."""

    DOWNLOAD = "download"
    BUCKET = "bucket"
    STREAM = "stream"
    TABLE = "table"
    LIVE = "live"


@dataclass(frozen=True)
class Source:
    """An audience that has been read. Its profiles are in the table `source`."""

    shape: SourceFormat
    #: The file contains the whole audience, not additions and removals.
    is_snapshot: bool
    #: From the manifest, the file name or the rows.
    audience_id: str | None
    audience_name: str | None
    file_name: str
    #: Data rows of this audience. A profile can have several. Rows with only empty cells don't count.
    rows: int
    #: At least one profile has an mpid.
    has_mpid: bool
    #: The newest time stamp in the rows or the manifest.
    as_of: datetime | None
    #: The oldest time stamp: a person who is not in the file was absent then, and perhaps not later.
    oldest: datetime | None = None
    #: Rows of a person who has another row already: with the same mpid, or with the same identities.
    merged_rows: int = 0
    #: Members without an mpid who have another member's customer id, and another email.
    shared_customer_ids: int = 0
    #: The name of the column with the customer ids in the file.
    customer_id_column: str | None = None
    #: The names of a table's columns that are not used as an identity.
    other_columns: tuple[str, ...] = ()
    #: The values of data fields are in the table `source_fields`.
    has_fields: bool = False
    #: Text in it may stand for numbers, dates or truth values. In a live message it is always text.
    infers_types: bool = True
    #: What people should know about how the file was read, a sentence each.
    notes: tuple[str, ...] = ()


def instant(milliseconds: int | None) -> datetime | None:
    """Return the time of a time stamp (ms since 1970), or None if it is none or out of range."""
    if milliseconds is None or not 0 < milliseconds <= LAST_INSTANT_MS:
        return None
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)
