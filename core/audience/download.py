"""Shape 1, the audience download: a row for each identity of each profile, as a ZIP or as the CSV inside it.

Columns and manifest as in mParticle's documentation of audience downloads.
"""

from collections.abc import Sequence

import duckdb

from core.audience import places
from core.audience.csvfile import scan
from core.audience.files import File
from core.audience.gather import Count, Rows, gather, stage
from core.audience.names import Audience, choose, from_download_name
from core.audience.source import Shape, Source, instant
from core.audience.sql import literal, milliseconds, stripped

# As mParticle writes them, and other spellings, which are looked at only where a type is neither of these.
EMAIL, CUSTOMER = "email", "customer_id"
EMAIL_TYPES = {EMAIL}
CUSTOMER_TYPES = {CUSTOMER, "customer", "customerid"}

_COLUMNS = {
    "mpid": ("mpid", "VARCHAR"),
    "scannedtimestampms": ("stamp", "BIGINT"),
    "identityvalue": ("value", "VARCHAR"),
    "identitytype": ("type", "VARCHAR"),
}
REQUIRED = {"mpid", "identityvalue", "identitytype"}


def read_csv(con: duckdb.DuckDBPyConnection, file: File, wanted: str | None) -> Source:
    """Read the CSV of a download that stands alone; its name may tell the audience."""
    audience = from_download_name(file.name)
    choose([audience], wanted, file)
    counts = stage_rows(con, file)
    gather_profiles(con, file, counts)
    return source_of(file.given, audience, counts)


def source_of(file_name: str, audience: Audience, counts: Sequence[Count], manifest_ms: int | None = None) -> Source:
    """What is known of a download after reading."""
    rows = sum(count.rows for count in counts)
    stamps = [manifest_ms, *(count.newest for count in counts)]
    return Source(
        shape=Shape.DOWNLOAD,
        is_snapshot=True,
        audience_id=audience.id,
        audience_name=audience.name,
        file_name=file_name,
        rows=rows,
        has_mpid=rows > 0,
        as_of=instant(max((stamp for stamp in stamps if stamp is not None), default=None)),
    )


def meaning(column: str) -> str | None:
    """What a column of the header is here, if anything."""
    plain = _plain(column)
    return plain if plain in _COLUMNS else None


def fits(columns: Sequence[str]) -> bool:
    """Whether a header is that of an audience download."""
    return {_plain(column) for column in columns} >= REQUIRED


def stage_rows(con: duckdb.DuckDBPyConnection, file: File) -> list[Count]:
    """Check one CSV, put its rows on the stage, and count them by type of identity."""
    return stage(con, _rows(file))


def rows_by_type(counts: Sequence[Count]) -> dict[str, int]:
    """How many rows there are of each type of identity."""
    found: dict[str, int] = {}
    for count in counts:
        kind = plain_type(count.label)
        found[kind] = found.get(kind, 0) + count.rows
    return found


def gather_profiles(con: duckdb.DuckDBPyConnection, file: File, counts: list[Count]) -> int:
    """Make the table `source` of the CSV files on the stage, of which this is the first."""
    return gather(con, _rows(file), counts)


def plain_type(label: str | None) -> str:
    """A type of identity without the accidents of its spelling."""
    return (label or "").strip().lower()


def _rows(file: File) -> Rows:
    value = "trim(value)" if file.layout.padded else "value"
    names, types = _named(file.layout.columns)
    stamp = milliseconds("stamp") if "stamp" in names else "NULL::BIGINT"
    return Rows(
        "SELECT type AS label, NULL::VARCHAR AS name, coalesce(trim(mpid), '') AS mpid, true AS member, "
        f"{_of_types(value, EMAIL, CUSTOMER, EMAIL_TYPES)} AS email, "
        f"{_of_types(value, CUSTOMER, EMAIL, CUSTOMER_TYPES)} AS customer_id, {stamp} AS stamp, false AS unreadable "
        f"FROM {scan(file, names, types)}",
        file,
        lambda row: places.csv_line_of_row(file, row),
        is_long=True,
    )


def _of_types(value: str, usual: str, other: str, types: set[str]) -> str:
    """A value where its type is one of these, however that is spelled. What costs most is asked last."""
    spellings = ", ".join(literal(name) for name in sorted(types))
    word = literal(min(types, key=len))
    return (
        f"CASE WHEN type = {literal(usual)} THEN {value} WHEN type = {literal(other)} THEN NULL "
        f"WHEN contains(lower(type), {word}) AND lower({stripped('type')}) IN ({spellings}) THEN {value} END"
    )


def _named(columns: Sequence[str]) -> tuple[list[str], list[str]]:
    names, types = [], []
    for place, column in enumerate(columns):
        name, kind = _COLUMNS.get(_plain(column), (f"ignored_{place}", "VARCHAR"))
        names.append(name)
        types.append(kind)
    return names, types


def _plain(column: str) -> str:
    return "".join(letter for letter in column.lower() if letter.isalnum())
