"""The reader of audiences: files of any format become the table `source`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import InputError
from core.sources import bucket_export, download_csv, download_zip, stream_export, tabular
from core.sources.audience_ref import UNKNOWN_AUDIENCE, choose, from_bucket_name
from core.sources.detection import DetectedFile, FileFormat, detect
from core.sources.duckdb_errors import UntidyTextError
from core.sources.file_opener import Opener, parts_of
from core.sources.grouping import read_rows
from core.sources.plain_text import tidy, unescape
from core.sources.source import Source, SourceFormat
from core.sources.source_file import SourceFile, given_file
from core.sources.staged_rows import StagedRows
from core.sources.staging import CLEAR_STAGE

if TYPE_CHECKING:
    import duckdb

_TABLES = {FileFormat.TABLE_CSV, FileFormat.TABLE_JSON, FileFormat.PARQUET}
_TEXTS = {FileFormat.TABLE_CSV, FileFormat.DOWNLOAD_CSV}


def read(
    path: Path | Sequence[Path],
    con: "duckdb.DuckDBPyConnection",
    *,
    audience: str | None = None,
    variant: str | None = None,
    columns: Mapping[str, str] | None = None,
    sheet: str | None = None,
    fields: Sequence[str] = (),
) -> Source:
    """Read an audience into the table `source` of `con`: one row per profile.

    The table has `profile` (unique: the mpid, else `customer:` and the customer id, else `email:` and the email in
    lower case, else `row:` and a number; `shared:` and both for a member with another member's customer id), `mpid`,
    `member`, `email` and `customer_id`. The identities come from the file, cleaned (core/sources/raw_identity.py).
    Empty ones are NULL.

    `path` is a file, a folder with the parts of an audience, or several files and folders. `audience` is an id or a
    name, for a file that contains several, and `variant` the name of the only variant of an A/B test to read, if the
    file contains several of the audience. `columns` are names of columns, keyed by identity (`email`, `customer_id`,
    `mpid`). `sheet` is the name of a sheet in a workbook. `fields` are the names of columns whose values are read, too,
    into the table `source_fields` (core/sources/field_columns.py), if the file is a table.

    If `con` has a table `newer_changes` with the columns `member_key`, `in_source` and `row_ms`, the last two are
    filled for the members that the file holds: `row_ms` is the latest time stamp of their rows, in milliseconds.

    Raises InputError if the file is at fault and SettingsError if the disk is; in both cases there is no table.
    DuckDB's InterruptException passes through, and so does its OutOfMemoryException if the memory limit was too low.
    """
    import duckdb

    paths = [path] if isinstance(path, Path) else list(path)
    given = [given_file(each, columns, fields=tuple(fields), sheet=sheet) for each in paths]
    for file in given:
        _refuse_unreadable(file)
    source = None
    try:
        with ExitStack() as stack:
            source = _read(con, given, audience, variant, Opener(con, stack))
    except OSError as exc:
        reason = exc.strerror or "the disk gives no reason"
    finally:
        if source is None:
            with suppress(duckdb.Error):  # a full disk can have closed the database
                con.execute(CLEAR_STAGE)
                con.execute("DROP TABLE IF EXISTS source")
    if source is None:
        raise InputError(f"can't be read: {reason}.", path=given[0].name)
    return source


def _read(
    con: "duckdb.DuckDBPyConnection", given: list[SourceFile], wanted: str | None, variant: str | None, opener: Opener
) -> Source:
    # DuckDB takes a relative path that begins with ~ for one in the home directory
    files = [replace(file, path=file.path.absolute()) for file in given]
    files = [part for file in files for part in (parts_of(file) if file.path.is_dir() else [file])]
    files = [opener.unwrap(opener.plainly_named(file)) for file in files]
    if len(files) == 1 and opener.is_download(files[0]):
        return download_zip.read_zip(con, files[0], wanted, variant)
    plain = [part for file in files for part in opener.plain_files(file)]
    attempts: list[Callable[[SourceFile], SourceFile]] = [
        lambda file: tidy(file, opener.folder(file), header=_header_of(file)),
        lambda file: unescape(file, opener.folder(file)) if file.layout.delimiter in ("|", "\t") else file,
    ]
    while True:
        detected = [detect(file) for file in plain]
        try:
            return _read_detected(con, detected, wanted)
        except UntidyTextError:
            if not attempts:
                raise
        con.execute(CLEAR_STAGE)
        normalize = attempts.pop(0)
        plain = [normalize(part.file) if part.kind in _TEXTS else part.file for part in detected]


def _read_detected(con: "duckdb.DuckDBPyConnection", parts: list[DetectedFile], wanted: str | None) -> Source:
    """Read the files of one audience. Raises InputError if they are of different kinds."""
    kinds = {part.kind for part in parts}
    files = [part.file for part in parts]
    if len(kinds) > 1 and not kinds <= _TABLES:
        other = next(part.file for part in parts if part.kind is not parts[0].kind)
        raise other.error(f"is not of the same kind as {files[0].name}: give files of one export.")
    if kinds == {FileFormat.DOWNLOAD_CSV}:
        return download_csv.read_csvs(con, files, wanted)
    if kinds == {FileFormat.BUCKET_JSON}:
        return _read_bucket(con, files, wanted)
    if kinds == {FileFormat.STREAM_JSON}:
        return read_rows(con, SourceFormat.STREAM, [stream_export.stream_rows(file) for file in files], wanted)
    tables = [_table_rows(con, part) for part in parts]
    for table in tables:
        if table.is_delta != tables[0].is_delta:
            raise table.file.error(f"has other columns than {files[0].name}: give files of one export.")
    return read_rows(con, SourceFormat.TABLE, tables, wanted)


def _table_rows(con: "duckdb.DuckDBPyConnection", part: DetectedFile) -> StagedRows:
    if part.kind is FileFormat.TABLE_CSV:
        return tabular.csv_rows(part.file)
    if part.kind is FileFormat.TABLE_JSON:
        return tabular.json_rows(con, part.file)
    return tabular.parquet_rows(con, part.file)


def _read_bucket(con: "duckdb.DuckDBPyConnection", files: list[SourceFile], wanted: str | None) -> Source:
    """Read one audience from the files of a bucket. Their names contain the audience."""
    audiences = list(dict.fromkeys(from_bucket_name(file.name) for file in files)) or [UNKNOWN_AUDIENCE]
    audience = audiences[choose(audiences, wanted, files[0])]
    chosen = [file for file in files if from_bucket_name(file.name) == audience]
    return read_rows(con, SourceFormat.BUCKET, [bucket_export.bucket_rows(file) for file in chosen], wanted, audience)


def _header_of(file: SourceFile) -> str:
    """Return the header line of a CSV file."""
    with file.path.open(encoding="utf-8-sig", errors="replace") as stream:
        for _ in range(file.layout.skip):
            stream.readline(1 << 20)
        return stream.readline(1 << 20).rstrip("\r\n")


def _refuse_unreadable(file: SourceFile) -> None:
    """Raise InputError for a file that does not exist, can't be opened, or is empty."""
    size, reason = -1, ""
    try:
        if str(file.path) != str(file.path).encode(errors="replace").decode():
            reason = "the path is not UTF-8 text. Rename the file or its directory."
        elif file.path.is_dir():
            size = 1
        elif not file.path.exists():
            reason = "there is no such file. Check the path."
        elif not file.path.is_file():
            reason = "is not a regular file. Save it as one first."
        else:
            with file.path.open("rb") as opened:
                size = opened.seek(0, 2)
    except PermissionError:
        reason = "may not be read. Give this user permission to read it."
    except (OSError, ValueError):
        reason = "can't be opened. Check the path."
    if reason:
        raise file.error(reason)
    if size == 0 and bucket_export.is_validation(file.name):
        raise file.error("is the empty file with which mParticle tests a bucket: it contains nothing to sync.")
    if size == 0:
        raise file.error("is empty. Export it again.")
