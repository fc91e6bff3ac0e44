"""Reading one audience file, whatever its shape, into the table `source`."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import duckdb

from core.errors import InputError
from core.sources import bucket_export, download_csv, download_zip, stream_export, tabular
from core.sources.detection import FileFormat, detect
from core.sources.scratch import plainly_named
from core.sources.source import Source
from core.sources.source_file import SourceFile, readable
from core.sources.staging import CLEAR_STAGE

_READERS: dict[FileFormat, Callable[[duckdb.DuckDBPyConnection, SourceFile, str | None], Source]] = {
    FileFormat.DOWNLOAD_CSV: download_csv.read_csv,
    FileFormat.BUCKET_JSON: bucket_export.read_bucket,
    FileFormat.STREAM_JSON: stream_export.read_stream,
    FileFormat.TABLE_CSV: tabular.read_csv,
    FileFormat.PARQUET: tabular.read_parquet,
}


def read(path: Path, con: duckdb.DuckDBPyConnection, *, audience: str | None = None) -> Source:
    """Read an audience into the table `source` of `con`: one row per profile.

    The table has `profile` (unique: the mpid, else `customer:` and the customer id, else `email:` and the email in
    lower case, else `row:` and a number), `mpid`, `member`, `email` and `customer_id`. The identities are as in the
    file, NULL where empty. `audience` is an id or a name, for a file that carries several.

    An `InputError` says what is wrong with the file, and a `SettingsError` what is wrong with the disk; in both
    cases there is no table. An interrupt of `con` passes as DuckDB's `InterruptException`, and a memory limit that
    was too low as its `OutOfMemoryException`.
    """
    file = SourceFile(path, readable((path.name or str(path)).encode(errors="replace").decode()))
    _refuse_unreadable(file)
    source = None
    try:
        file = replace(file, path=path.absolute())  # DuckDB takes a relative one that begins with ~ for the home
        with plainly_named(con, file) as plain:
            source = _read(con, plain, audience)
    except OSError as exc:
        reason = exc.strerror or "the disk gives no reason"
    finally:
        if source is None:
            with suppress(duckdb.Error):  # a full disk can have closed the database
                con.execute(CLEAR_STAGE)
                con.execute("DROP TABLE IF EXISTS source")
    if source is None:
        raise InputError(f"can't be read: {reason}.", path=file.name)
    return source


def _read(con: duckdb.DuckDBPyConnection, file: SourceFile, wanted: str | None) -> Source:
    found = detect(file)
    if found.kind is FileFormat.ZIP:
        return download_zip.read_zip(con, file, wanted, _read_unpacked)
    return _READERS[found.kind](con, found.file, wanted)


def _read_unpacked(con: duckdb.DuckDBPyConnection, file: SourceFile, wanted: str | None) -> Source:
    found = detect(file)
    if found.kind is FileFormat.ZIP:
        raise file.error("is a ZIP in a ZIP. Unpack it first.")
    return _READERS[found.kind](con, found.file, wanted)


def _refuse_unreadable(file: SourceFile) -> None:
    """Refuse what is no file, or an empty one."""
    size, reason = -1, ""
    try:
        if str(file.path) != str(file.path).encode(errors="replace").decode():
            reason = "the path is not UTF-8 text. Rename the file or its directory."
        elif file.path.is_dir():
            reason = "is a directory. Give the file inside it."
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
