"""Shape 1, the audience download: a row for each identity of each profile, as a ZIP or as the CSV inside it.

Columns and manifest as in mParticle's documentation of audience downloads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import duckdb

from core.sources import error_location
from core.sources.audience_ref import AudienceRef, choose, from_download_name
from core.sources.csv_format import scan
from core.sources.duckdb_errors import query
from core.sources.grouping import NOTHING, group_rows
from core.sources.row_notes import refuse_decimal_ids, row_notes
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


@dataclass(frozen=True, slots=True)
class Gathered:
    """How many profiles a download holds, and what a person should know of its rows.

    `users` is how many mParticle counts: to it, all rows of mpid 0 are one.
    """

    profiles: int
    users: int
    notes: tuple[str, ...]


def read_csvs(con: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], wanted: str | None) -> Source:
    """Read the CSV files of a download that has no manifest; their names may tell the audience."""
    audiences = list(dict.fromkeys(from_download_name(file.name) for file in files))
    audience = audiences[choose(audiences, wanted, files[0])]
    chosen = [file for file in files if from_download_name(file.name) == audience]
    file = chosen[0]
    counts = [count for each in chosen for count in stage_rows(con, each)]
    return source_of(file.given, audience, counts, gather_profiles(con, file, counts))


def source_of(
    file_name: str,
    audience: AudienceRef,
    counts: Sequence[LabelCount],
    gathered: Gathered,
    manifest_ms: int | None = None,
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
        merged_rows=rows - gathered.profiles,
        notes=gathered.notes,
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
    return stage(con, download_rows(file))


def rows_by_type(counts: Sequence[LabelCount]) -> dict[str, int]:
    """How many rows there are of each type of identity."""
    found: dict[str, int] = {}
    for count in counts:
        kind = plain_type(count.label)
        found[kind] = found.get(kind, 0) + count.rows
    return found


def gather_profiles(con: duckdb.DuckDBPyConnection, file: SourceFile, counts: list[LabelCount]) -> Gathered:
    """Make the table `source` of the CSV files on the stage, of which this is the first."""
    rows = download_rows(file)
    together = reduce(add, counts, NOTHING)
    refuse_decimal_ids(con, rows, together)
    notes = row_notes(con, rows, together)
    without_mpid = together.rows - together.with_mpid
    users = int(query(con, "SELECT count(DISTINCT mpid) FROM staged", file)[0][0]) + 1 if without_mpid else None
    profiles = group_rows(con, rows, counts)
    return Gathered(profiles, profiles if users is None else users, tuple(notes))


def plain_type(label: str | None) -> str:
    """A type of identity without the accidents of its spelling."""
    return (label or "").strip().lower()


def download_rows(file: SourceFile) -> StagedRows:
    """The rows of the CSV of a download."""
    mpid, value = ("trim(mpid)", "trim(value)") if file.layout.padded else ("mpid", "value")
    names, types = _named(file.layout.columns)
    stamp = milliseconds("stamp") if "stamp" in names else "NULL::BIGINT"
    select = (
        f"SELECT type AS label, {mpid} AS mpid, {value} AS value, {_KIND} AS kind, {stamp} AS stamp "
        f"FROM {scan(file, names, types)}"
    )
    filled = " OR ".join(f"trim({name}::VARCHAR) <> ''" for name in names)
    return StagedRows(
        select,
        file,
        lambda row: error_location.csv_line_of_row(file, row),
        is_long=True,
        sql_without_empty_rows=f"{select} WHERE ({filled})",
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
