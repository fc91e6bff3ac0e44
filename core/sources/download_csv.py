"""Shape 1, the audience download: a row for each identity of each profile, as a ZIP or as the CSV inside it.

Columns and manifest follow mParticle's documentation of audience downloads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from core.sources import error_location
from core.sources.audience_ref import AudienceRef, choose, from_download_name
from core.sources.csv_format import scan
from core.sources.duckdb_errors import query
from core.sources.grouping import NOTHING, group_rows
from core.sources.manifest import NO_MANIFEST, Manifest
from core.sources.row_notes import refuse_decimal_ids, row_notes
from core.sources.source import Source, SourceFormat, instant
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import literal, milliseconds, stripped
from core.sources.staged_rows import KINDS, OTHER, LabelCount, StagedRows
from core.sources.staging import stage

if TYPE_CHECKING:
    import duckdb

_COLUMNS = {
    "mpid": "mpid",
    "scannedtimestampms": "stamp",
    "identityvalue": "value",
    "identitytype": "type",
}
REQUIRED = {"mpid", "identityvalue", "identitytype"}


@dataclass(frozen=True, slots=True)
class DownloadProfiles:
    """The number of profiles in a download, and notes about its rows for people.

    `users` is the number by mParticle's count, in which all rows with mpid 0 are one user.
    """

    profiles: int
    users: int
    notes: tuple[str, ...]


def read_csvs(con: "duckdb.DuckDBPyConnection", files: Sequence[SourceFile], wanted: str | None) -> Source:
    """Read the CSV files of a download without a manifest. Their names may contain the audience.

    `wanted` is the id or name of an audience, if the files contain several. Raises InputError.
    """
    audiences = list(dict.fromkeys(from_download_name(file.name) for file in files))
    audience = audiences[choose(audiences, wanted, files[0])]
    chosen = [file for file in files if from_download_name(file.name) == audience]
    file = chosen[0]
    counts = [count for part in chosen for count in stage_rows(con, part)]
    return source_of(file.given, audience, counts, gather_profiles(con, file, counts))


def source_of(
    file_name: str,
    audience: AudienceRef,
    counts: Sequence[LabelCount],
    profiles: DownloadProfiles,
    manifest: Manifest = NO_MANIFEST,
) -> Source:
    """Return the description of a download that has been read."""
    rows = sum(count.rows for count in counts)
    newest = [manifest.newest_ms, *(count.newest for count in counts)]
    oldest = [manifest.oldest_ms, *(count.oldest for count in counts)]
    as_of = instant(max((stamp for stamp in newest if stamp is not None), default=None))
    return Source(
        shape=SourceFormat.DOWNLOAD,
        is_snapshot=True,
        audience_id=audience.id,
        audience_name=audience.name,
        file_name=file_name,
        rows=rows,
        has_mpid=rows > 0,
        merged_rows=rows - profiles.profiles,
        notes=profiles.notes,
        as_of=as_of,
        oldest=instant(min((stamp for stamp in oldest if stamp is not None), default=None)) or as_of,
    )


def meaning(column: str) -> str | None:
    """Return the meaning of a column in the header, or None if it has none."""
    plain = _plain(column)
    return plain if plain in _COLUMNS else None


def is_download_header(columns: Sequence[str]) -> bool:
    """Return whether a header is that of an audience download."""
    return {_plain(column) for column in columns} >= REQUIRED


def stage_rows(con: "duckdb.DuckDBPyConnection", file: SourceFile) -> list[LabelCount]:
    """Check the rows of a CSV, add them to the stage, and return their counts by type of identity."""
    return stage(con, download_rows(file))


def rows_by_type(counts: Sequence[LabelCount]) -> dict[str, int]:
    """Return the number of rows of each type of identity."""
    rows: dict[str, int] = {}
    for count in counts:
        kind = plain_type(count.label)
        rows[kind] = rows.get(kind, 0) + count.rows
    return rows


def gather_profiles(con: "duckdb.DuckDBPyConnection", file: SourceFile, counts: list[LabelCount]) -> DownloadProfiles:
    """Create the table `source` from the rows on the stage. `file` is the first of the CSV files on it."""
    rows = download_rows(file)
    together = reduce(add, counts, NOTHING)
    refuse_decimal_ids(con, rows, together)
    notes = row_notes(con, rows, together)
    without_mpid = together.rows - together.with_mpid
    users = int(query(con, "SELECT count(DISTINCT mpid) FROM staged", file)[0][0]) + 1 if without_mpid else None
    profiles = group_rows(con, rows, counts)
    return DownloadProfiles(profiles, profiles if users is None else users, tuple(notes))


def plain_type(label: str | None) -> str:
    """Return a type of identity in lower case and without white space around it."""
    return (label or "").strip().lower()


def download_rows(file: SourceFile) -> StagedRows:
    """Return the query for the rows of a download's CSV."""
    mpid, value = ("trim(mpid)", "trim(value)") if file.layout.padded else ("mpid", "value")
    names = names_of(file.layout.columns)
    types = ["BIGINT" if name == "stamp" else "VARCHAR" for name in names]
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


# Accepts every spelling of a type. The expensive conditions come last.
_BY_TYPE = " ".join(f"WHEN {literal(label)} THEN {kind}" for label, kind in KINDS.items())
_KIND = f"""
    CASE type {_BY_TYPE} ELSE
        CASE WHEN contains(lower(type), 'email') OR contains(lower(type), 'customer')
             THEN CASE lower({stripped("type")}) {_BY_TYPE} ELSE {OTHER} END
             ELSE {OTHER} END
    END
"""


def names_of(columns: Sequence[str]) -> list[str]:
    """Return our names for the columns of a download: mpid, stamp, value, type, and others for those not used."""
    return [_COLUMNS.get(_plain(column), f"ignored_{index}") for index, column in enumerate(columns)]


def _plain(column: str) -> str:
    return "".join(letter for letter in column.lower() if letter.isalnum())
