"""Reading one audience, whatever its shape and in however many files, into the table `source`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import duckdb

from core.errors import InputError
from core.sources import bucket_export, download_csv, download_zip, stream_export, tabular
from core.sources.audience_ref import NOBODY, choose, from_bucket_name
from core.sources.detection import DetectedFile, FileFormat, detect
from core.sources.duckdb_errors import UntidyTextError
from core.sources.file_opener import Opener, parts_of
from core.sources.grouping import read_rows
from core.sources.plain_text import tidied, without_backslashes
from core.sources.source import Source, SourceFormat
from core.sources.source_file import SourceFile, readable
from core.sources.staging import CLEAR_STAGE, StagedRows

_TABLES = {FileFormat.TABLE_CSV, FileFormat.TABLE_JSON, FileFormat.PARQUET}
_TEXTS = {FileFormat.TABLE_CSV, FileFormat.DOWNLOAD_CSV}


def read(
    path: Path | Sequence[Path],
    con: duckdb.DuckDBPyConnection,
    *,
    audience: str | None = None,
    columns: Mapping[str, str] | None = None,
    sheet: str | None = None,
) -> Source:
    """Read an audience into the table `source` of `con`: one row per profile.

    The table has `profile` (unique: the mpid, else `customer:` and the customer id, else `email:` and the email in
    lower case, else `row:` and a number; `shared:` and both for a member who has the customer id of another), `mpid`,
    `member`, `email` and `customer_id`. The identities are as in the file, cleaned (core/raw_identity.py), NULL where
    empty.

    `path` is a file, a folder with the parts of an audience, or several files and folders. `audience` is an id or a
    name, for a file that carries several. `columns` are chosen ones, by what they are for (`email`, `customer_id`,
    `mpid`); `sheet` is that of a workbook.

    An `InputError` says what is wrong with the file, and a `SettingsError` what is wrong with the disk; in both
    cases there is no table. An interrupt of `con` passes as DuckDB's `InterruptException`, and a memory limit that
    was too low as its `OutOfMemoryException`.
    """
    paths = [path] if isinstance(path, Path) else list(path)
    chosen = tuple(sorted((columns or {}).items()))
    given = [
        SourceFile(
            each,
            readable((each.name or str(each)).encode(errors="replace").decode()),
            chosen_columns=chosen,
            sheet=sheet,
        )
        for each in paths
    ]
    for file in given:
        _refuse_unreadable(file)
    source = None
    try:
        with ExitStack() as stack:
            source = _read(con, given, audience, Opener(con, stack))
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


def _read(con: duckdb.DuckDBPyConnection, given: list[SourceFile], wanted: str | None, opener: Opener) -> Source:
    # DuckDB takes a relative path that begins with ~ for the home
    files = [replace(file, path=file.path.absolute()) for file in given]
    files = [part for file in files for part in (parts_of(file) if file.path.is_dir() else [file])]
    files = [opener.unwrapped(opener.plainly_named(file)) for file in files]
    if len(files) == 1 and opener.is_download(files[0]):
        return download_zip.read_zip(con, files[0], wanted)
    plain = [part for file in files for part in opener.plain_files(file)]
    attempts: list[Callable[[SourceFile], SourceFile]] = [
        lambda file: tidied(file, opener.folder(file), header=_header_of(file)),
        lambda file: without_backslashes(file, opener.folder(file)) if file.layout.delimiter in ("|", "\t") else file,
    ]
    while True:
        detected = [detect(file) for file in plain]
        try:
            return _read_detected(con, detected, wanted)
        except UntidyTextError:
            if not attempts:
                raise
        con.execute(CLEAR_STAGE)
        write_anew = attempts.pop(0)
        plain = [write_anew(each.file) if each.kind in _TEXTS else each.file for each in detected]


def _read_detected(con: duckdb.DuckDBPyConnection, parts: list[DetectedFile], wanted: str | None) -> Source:
    """Read the files of an audience as one."""
    kinds = {part.kind for part in parts}
    files = [part.file for part in parts]
    if len(kinds) > 1 and not kinds <= _TABLES:
        other = next(part.file for part in parts if part.kind is not parts[0].kind)
        raise other.error(f"is of another kind than {files[0].name}: give files of one export.")
    if kinds == {FileFormat.DOWNLOAD_CSV}:
        return download_csv.read_csvs(con, files, wanted)
    if kinds == {FileFormat.BUCKET_JSON}:
        return _read_bucket(con, files, wanted)
    if kinds == {FileFormat.STREAM_JSON}:
        return read_rows(con, SourceFormat.STREAM, [stream_export.stream_rows(file) for file in files], wanted)
    rows = [_table_rows(con, part) for part in parts]
    for each in rows:
        if each.is_delta != rows[0].is_delta:
            raise each.file.error(f"has other columns than {files[0].name}: give files of one export.")
    return read_rows(con, SourceFormat.TABLE, rows, wanted)


def _table_rows(con: duckdb.DuckDBPyConnection, part: DetectedFile) -> StagedRows:
    if part.kind is FileFormat.TABLE_CSV:
        return tabular.csv_rows(part.file)
    if part.kind is FileFormat.TABLE_JSON:
        return tabular.json_rows(con, part.file)
    return tabular.parquet_rows(con, part.file)


def _read_bucket(con: duckdb.DuckDBPyConnection, files: list[SourceFile], wanted: str | None) -> Source:
    """Read files from the bucket, one audience of them; their names tell which one."""
    audiences = list(dict.fromkeys(from_bucket_name(file.name) for file in files)) or [NOBODY]
    audience = audiences[choose(audiences, wanted, files[0])]
    chosen = [file for file in files if from_bucket_name(file.name) == audience]
    return read_rows(con, SourceFormat.BUCKET, [bucket_export.bucket_rows(file) for file in chosen], wanted, audience)


def _header_of(file: SourceFile) -> str:
    """The line that is the header of a CSV file."""
    with file.path.open(encoding="utf-8-sig", errors="replace") as stream:
        for _ in range(file.layout.skip):
            stream.readline(1 << 20)
        return stream.readline(1 << 20).rstrip("\r\n")


def _refuse_unreadable(file: SourceFile) -> None:
    """Refuse what is no file, or an empty one."""
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
        raise file.error("is the empty file by which mParticle tests a bucket: there is nothing in it to sync.")
    if size == 0:
        raise file.error("is empty. Export it again.")
