"""Shape 1, the audience download: a row for each identity of each profile, as a ZIP or as the CSV inside it.

Columns and manifest as in mParticle's documentation of audience downloads.
"""

from collections.abc import Sequence

import duckdb

from core.sources import error_location
from core.sources.audience_ref import AudienceRef, choose, from_download_name
from core.sources.csv_format import scan
from core.sources.grouping import group_rows
from core.sources.source import Source, SourceFormat, instant
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import literal, milliseconds, stripped
from core.sources.staging import KINDS, OTHER, LabelCount, StagedRows, stage

_COLUMNS = {
    "mpid": ("mpid", "VARCHAR"),
    "scannedtimestampms": ("stamp", "BIGINT"),
    "identityvalue": ("value", "VARCHAR"),
    "identitytype": ("type", "VARCHAR"),
}
REQUIRED = {"mpid", "identityvalue", "identitytype"}


def read_csv(con: duckdb.DuckDBPyConnection, file: SourceFile, wanted: str | None) -> Source:
    """Read the CSV of a download that stands alone; its name may tell the audience."""
    audience = from_download_name(file.name)
    choose([audience], wanted, file)
    counts = stage_rows(con, file)
    gather_profiles(con, file, counts)
    return source_of(file.given, audience, counts)


def source_of(
    file_name: str, audience: AudienceRef, counts: Sequence[LabelCount], manifest_ms: int | None = None
) -> Source:
    """What is known of a download after reading."""
    rows = sum(count.rows for count in counts)
    stamps = [manifest_ms, *(count.newest for count in counts)]
    return Source(
        shape=SourceFormat.DOWNLOAD,
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


def stage_rows(con: duckdb.DuckDBPyConnection, file: SourceFile) -> list[LabelCount]:
    """Check one CSV, put its rows on the stage, and count them by type of identity."""
    return stage(con, _rows(file))


def rows_by_type(counts: Sequence[LabelCount]) -> dict[str, int]:
    """How many rows there are of each type of identity."""
    found: dict[str, int] = {}
    for count in counts:
        kind = plain_type(count.label)
        found[kind] = found.get(kind, 0) + count.rows
    return found


def gather_profiles(con: duckdb.DuckDBPyConnection, file: SourceFile, counts: list[LabelCount]) -> int:
    """Make the table `source` of the CSV files on the stage, of which this is the first."""
    return group_rows(con, _rows(file), counts)


def plain_type(label: str | None) -> str:
    """A type of identity without the accidents of its spelling."""
    return (label or "").strip().lower()


def _rows(file: SourceFile) -> StagedRows:
    mpid, value = ("trim(mpid)", "trim(value)") if file.layout.padded else ("mpid", "value")
    names, types = _named(file.layout.columns)
    stamp = milliseconds("stamp") if "stamp" in names else "NULL::BIGINT"
    return StagedRows(
        f"SELECT type AS label, {mpid} AS mpid, {value} AS value, {_KIND} AS kind, {stamp} AS stamp "
        f"FROM {scan(file, names, types)}",
        file,
        lambda row: error_location.csv_line_of_row(file, row),
        is_long=True,
    )


# However a type is spelled; what costs most is asked last.
_BY_TYPE = " ".join(f"WHEN {literal(label)} THEN {kind}" for label, kind in KINDS.items())
_KIND = f"""
    CASE type {_BY_TYPE} ELSE
        CASE WHEN contains(lower(type), 'email') OR contains(lower(type), 'customer')
             THEN CASE lower({stripped("type")}) {_BY_TYPE} ELSE {OTHER} END
             ELSE {OTHER} END
    END
"""


def _named(columns: Sequence[str]) -> tuple[list[str], list[str]]:
    names, types = [], []
    for place, column in enumerate(columns):
        name, kind = _COLUMNS.get(_plain(column), (f"ignored_{place}", "VARCHAR"))
        names.append(name)
        types.append(kind)
    return names, types


def _plain(column: str) -> str:
    return "".join(letter for letter in column.lower() if letter.isalnum())
