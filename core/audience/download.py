"""Shape 1, the audience download: a row for each identity of each profile, as a ZIP or as the CSV inside it.

Columns and manifest as in mParticle's documentation of audience downloads.
"""

from collections.abc import Sequence

import duckdb

from core.audience import places
from core.audience.csvfile import scan
from core.audience.duck import query
from core.audience.files import File
from core.audience.gather import Count, Rows, gather, survey
from core.audience.names import Audience, choose, from_download_name
from core.audience.source import Shape, Source, instant
from core.audience.sql import literal, milliseconds

EMAIL_TYPES = {"email"}
CUSTOMER_TYPES = {"customer_id", "customer", "customerid"}

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
    counts = count_rows(con, file)
    gather_profiles(con, [file], counts)
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


def count_rows(con: duckdb.DuckDBPyConnection, file: File) -> list[Count]:
    """Check one CSV and count its rows by type of identity."""
    return survey(con, _rows([file], None))


def rows_by_type(counts: Sequence[Count]) -> dict[str, int]:
    """How many rows there are of each type of identity."""
    found: dict[str, int] = {}
    for count in counts:
        kind = plain_type(count.label)
        found[kind] = found.get(kind, 0) + count.rows
    return found


def gather_profiles(con: duckdb.DuckDBPyConnection, files: Sequence[File], counts: list[Count]) -> int:
    """Make the table `source` of CSV files that were counted before, in their order."""
    return gather(con, _rows(files, [count.label for count in counts]), counts)


def count_profiles(con: duckdb.DuckDBPyConnection, file: File) -> int:
    """How many profiles one CSV holds, of several that are gathered together."""
    rows = _rows([file], None)
    return int(query(con, f"SELECT count(DISTINCT TRY_CAST(mpid AS BIGINT)) FROM ({rows.sql})", file)[0][0])


def plain_type(label: str | None) -> str:
    """A type of identity without the accidents of its spelling."""
    return (label or "").strip().lower()


def _rows(files: Sequence[File], labels: Sequence[str | None] | None) -> Rows:
    """The rows of CSV files; `labels` are the spellings of the types in them, once those are known."""
    layout = files[0].layout
    value = "trim(value)" if layout.padded else "value"
    if labels is None:
        email, customer = value, "NULL::VARCHAR"
    else:
        email, customer = _of_types(value, EMAIL_TYPES, labels), _of_types(value, CUSTOMER_TYPES, labels)
    names, types = _named(layout.columns)
    stamp = milliseconds("stamp") if "stamp" in names else "NULL::BIGINT"
    return Rows(
        "SELECT type AS label, NULL::VARCHAR AS name, coalesce(trim(mpid), '') AS mpid, true AS member, "
        f"{email} AS email, {customer} AS customer_id, {stamp} AS stamp, false AS unreadable "
        f"FROM {scan(files, names, types)}",
        files[0],
        lambda row: places.csv_line_of_row(files[0], row),
        is_long=True,
    )


def _of_types(value: str, types: set[str], labels: Sequence[str | None]) -> str:
    spellings = [literal(label) for label in labels if label is not None and plain_type(label) in types]
    return f"CASE WHEN type IN ({', '.join(spellings)}) THEN {value} END" if spellings else "NULL::VARCHAR"


def _named(columns: Sequence[str]) -> tuple[list[str], list[str]]:
    names, types = [], []
    for place, column in enumerate(columns):
        name, kind = _COLUMNS.get(_plain(column), (f"ignored_{place}", "VARCHAR"))
        names.append(name)
        types.append(kind)
    return names, types


def _plain(column: str) -> str:
    return "".join(letter for letter in column.lower() if letter.isalnum())
