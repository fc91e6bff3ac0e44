"""Calls of DuckDB that read files, and the translation of its errors into messages for people.

DuckDB quotes the faulty row in its messages, and rows contain addresses. So our messages take only numbers from
DuckDB's, and its exception is not chained to ours.
"""

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import InputError, SettingsError, SyncError
from core.sources import error_location
from core.sources.source_file import SourceFile

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")

NO_ROOM = (
    "There is no room to read the audience: the disk with the data directory is full. "
    "Free some space there, or move the directory with ITERABLE_SYNC_DATA_DIR, and try again."
)
NO_DISK = "The disk failed while the audience was read. Check the disk and that the file still exists, and try again."
NO_WRITING = "Temporary files can't be written in the data directory: make it writable and try again."
NO_MEMORY = (
    "There is not enough memory to read the audience, and not enough disk space to use instead. "
    "Free some memory or disk space and try again."
)

NOT_UTF8 = "is not UTF-8 text. Save it again with the encoding UTF-8."
NO_INTEGER = "the mpid is not a whole number of 64 bits. A spreadsheet may have rewritten it: use the file as exported."
REWRITTEN = (
    "the customer id was changed: a spreadsheet wrote a long number as 1.23E+11, or an error in its place. "
    "Use the file as exported, or format the column as text before you save it."
)
BROKEN_JSON = "the JSON is broken here. If the file was cut off, fetch it again."
OVERGROWN = "the object is too large or too deeply nested: no audience has such a member."
LONG_ROW = "the row is longer than 2 MB: no audience has such a row."
BROKEN_PARQUET = "is not a Parquet file that can be read: it is damaged or cut off. Export it again."

_FULL = re.compile(r"no space left|disk quota|max_temp_directory_size|could not write|failed to offload", re.I)
_RECORD = re.compile(r"CSV Error on Line: (\d+)")
_WIDTH = re.compile(r"^Expected Number of Columns: (\d+) Found: (\d+)$", re.M)
_VALUE = re.compile(r"JSON transform error in file .*?, in (?:record/value|line) (\d+):", re.S)
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT}
_ACCESS_ERRORS = {errno.EACCES, errno.EPERM, errno.EROFS}


class UntidyTextError(InputError):
    """The strict reader does not accept a text as it is. It may accept a normalized copy."""


def query(con: "duckdb.DuckDBPyConnection", sql: str, file: SourceFile) -> list[tuple[Any, ...]]:
    """Run a statement that reads `file`, and return its rows. Raises the errors of `attempt`."""
    return attempt(lambda: con.execute(sql).fetchall(), file)


def attempt(read: Callable[[], T], file: SourceFile) -> T:
    """Call a function that reads `file` with DuckDB, and return its result.

    Raises InputError if the file is at fault and SettingsError if the disk is. DuckDB's InterruptException passes
    through, and so does its OutOfMemoryException if a higher memory limit may help.
    """
    import duckdb

    try:
        return read()
    except duckdb.InterruptException:
        raise
    except (duckdb.Error, RuntimeError) as exc:
        overgrown = _overgrown_object(exc, file)
        if overgrown is None and _disk_problem(exc, str(exc)) == NO_MEMORY:
            raise
        problem = overgrown or explain(exc, file)
    except UnicodeDecodeError as exc:  # DuckDB cuts its quotes off inside a letter, and can't decode its own message
        problem = explain(duckdb.Error(exc.object.decode(errors="replace")), file)
    try:
        raise problem  # outside the handler, so that DuckDB's error does not become its context
    finally:
        del problem  # a reference cycle with this frame would keep the connection alive


def is_out_of_memory(exc: BaseException) -> bool:
    """Return whether an error says that DuckDB's memory limit was too low."""
    import duckdb

    return isinstance(exc, duckdb.OutOfMemoryException)


def is_out_of_room(exc: BaseException) -> bool:
    """Return whether an error says that DuckDB has too little memory, or no disk that it can use."""
    import duckdb

    if isinstance(exc, (duckdb.TransactionException, duckdb.FatalException)):  # when a table, or its log, is written
        return _FULL.search(str(exc)) is not None
    return isinstance(exc, (duckdb.OutOfMemoryException, duckdb.IOException))


@contextmanager
def disk_errors() -> Iterator[None]:
    """Raise SettingsError in place of an OSError in the block if the disk is full or read-only."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _DISK_ERRORS:
            raise SettingsError(NO_ROOM) from exc
        if exc.errno in _ACCESS_ERRORS:
            raise SettingsError(NO_WRITING) from exc
        raise


def explain(exc: Exception, file: SourceFile) -> SyncError:
    """Return our error for an error of DuckDB."""
    text = str(exc)
    problem = _disk_problem(exc, text)
    if problem is not None and not (problem == NO_DISK and error_location.is_parquet(file.path)):
        return SettingsError(problem)
    if error_location.is_parquet(file.path):
        return file.error(BROKEN_PARQUET)
    if "CSV Error on Line" in text or "CSV Parser" in text:
        return _csv_error(text, file)
    if "JSON" in text or "maximum_object_size" in text:
        return _json_error(text, file)
    return file.error("can't be read: it is damaged or in an unknown format.")


def _disk_problem(exc: Exception, text: str) -> str | None:
    """Return what is wrong with memory or disk, or None. A truncated Parquet file looks like a disk that failed."""
    if not is_out_of_room(exc):
        return None
    if _FULL.search(text):
        return NO_ROOM
    return NO_MEMORY if is_out_of_memory(exc) else NO_DISK


def _csv_error(text: str, file: SourceFile) -> InputError:
    bad_line = error_location.not_utf8(file.path) if "Invalid unicode" in text else None
    if bad_line is not None:
        return UntidyTextError(NOT_UTF8, path=file.shown, line=bad_line)
    record = _RECORD.search(text)
    line = error_location.csv_line_of_record(file, int(record[1])) if record else None
    return UntidyTextError(_csv_message(text), path=file.shown, line=line)


def _csv_message(text: str) -> str:
    width = _WIDTH.search(text)
    if width:
        return f"the row has {width[2]} cells, but the header has {width[1]}. Export it again, or correct the row."
    if "unterminated quote" in text:
        return "a quotation mark is not closed, or is inside a value that is not quoted."
    if "Maximum line size" in text:
        return LONG_ROW
    if "Error when converting column" in text:
        return "the time stamp is not a whole number."
    if "invalid state" in text:
        return "the line endings are mixed, or quotation marks don't match. Export it again as plain CSV."
    return "is not well-formed CSV. Export it again."


def _overgrown_object(exc: Exception, file: SourceFile) -> InputError | None:
    """Return the error of a JSON file if parsing one of its objects took all memory; None if something else did."""
    if not (is_out_of_memory(exc) and "allocate data" in str(exc) and error_location.is_json(file.path)):
        return None
    line, _ = error_location.json_break(file.path)
    return None if line is None else file.error(OVERGROWN, line=line)


def _json_error(text: str, file: SourceFile) -> InputError:
    if "maximum_object_size" in text:
        return file.error("contains an object of more than 2 MB: no audience has such a member.")
    value = _VALUE.search(text)
    if value:
        line = error_location.json_line(file.path, int(value[1]))
        return file.error("a value has the wrong type.", line=line)
    bad_line = error_location.not_utf8(file.path)
    if bad_line is not None:
        return file.error(NOT_UTF8, line=bad_line)
    line, column = error_location.json_break(file.path)
    return file.error(BROKEN_JSON, line=line, column=column)
