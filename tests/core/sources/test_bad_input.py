"""Files that can't be read give an error with one sentence and the place, and none of their content."""

# Annotations stay text: hypothesis keeps the tests until the very end, when DuckDB reports types in use as leaks.
from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from core.errors import InputError, SettingsError, SyncError
from core.sources import csv_format, duckdb_errors, read
from core.sources.source_file import SourceFile
from tests.core.databases import sampled
from tests.core.sources.factories import HEADER, change, download_csv

Refusal = Callable[..., InputError]
ROW = "1, 5, m.hyde@example.com, email"


def test_a_missing_file(tmp_path: Path, refusal: Refusal) -> None:
    """The error for a missing file names it, without its directory."""
    assert refusal(tmp_path / "a.csv").message == "a.csv: there is no such file. Check the path."


def test_an_empty_directory(tmp_path: Path, refusal: Refusal) -> None:
    """A folder without a file of an audience is refused."""
    assert "is a folder that contains no file of an audience" in refusal(tmp_path).message


def test_a_pipe(tmp_path: Path, refusal: Refusal) -> None:
    """A pipe is refused, because a file is read more than once."""
    os.mkfifo(tmp_path / "pipe")

    assert "is not a regular file" in refusal(tmp_path / "pipe").message


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000])
def test_an_impossible_path(tmp_path: Path, refusal: Refusal, name: str) -> None:
    """A path that is too long, or has an impossible byte, is refused."""
    assert "Check the path" in refusal(tmp_path / name).message


def test_no_permission(tmp_path: Path, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without read permission is refused. (The test simulates it, since root may read anything.)"""

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "denied")

    path = tmp_path / "a.csv"
    path.write_text("email\n")
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match="may not be read"):
        read(path, con)


def test_a_name_that_is_not_utf8(tmp_path: Path, refusal: Refusal) -> None:
    """The error for a name that is not UTF-8 can be printed."""
    path = tmp_path / os.fsdecode(b"a\xff.csv")
    path.write_text(download_csv())

    assert refusal(path).message.encode() == b"a?.csv: the path is not UTF-8 text. Rename the file or its directory."


@pytest.mark.parametrize("content", ["", " \n\t\n", "\ufeff", "\ufeff\n\n"])
def test_an_empty_file(refusal: Refusal, content: str) -> None:
    """A file with only white space counts as empty."""
    assert refusal(content).message == "file.csv: is empty. Export it again."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b\x08\x00", "is not a complete gzip file"),
        (b"BZh9", "is not a complete bzip2 file"),
        (b"\xfd7zXZ\x00", "is not a complete xz file"),
        (b"\x28\xb5\x2f\xfd", "is not a complete zstd file"),
        (b"[1, 2]", "is a JSON array, but not of objects. Accepted are mParticle's audience downloads"),
        (b'{"a": 1}', "has no column with an identity, only a."),
        (b'{"a": ', "the JSON is broken"),
        (b"{" * 100_000, "the JSON is broken"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the JSON is broken"),
        (b"email\n" + b"\0" * 10, "contains a NUL byte"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is a picture"),
        (b"x," * 600_000 + b"\n", "the first line is longer than 1 MB"),
        (b"email," + b"x," * 5000 + b"\n1\n", "has 5002 columns"),
        (b'{"IsAddRequest": true, "x": "' + b"y" * 2_000_000 + b'"}', "the first object is longer than 1 MB"),
        (change().encode() + b'{"IsAddRequest": true, "x": "' + b"y" * 40_000_000 + b'"}', "more than 2 MB"),
    ],
)
def test_files_that_are_not_audiences(refusal: Refusal, content: bytes, message: str) -> None:
    """A file that is not an audience is recognized before it costs memory or time."""
    assert message in refusal(content).message


@pytest.mark.parametrize("name", ["a.zip", "a.PARQUET"])
def test_a_web_page_under_another_name(refusal: Refusal, name: str) -> None:
    """A page with an error that was saved under the download's name is refused."""
    assert "is not the kind of file that its name says" in refusal("<html>Sign in</html>", name).message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1, 5, x", "the row has 3 cells, but the header has 4"),
        ("1, 5, x, email, y", "the row has 5 cells, but the header has 4"),
        ('1, 5, "x, email', "a quotation mark is not closed"),
        ('1, 5, "x" y, email', "a quotation mark is not closed, or is inside a value"),
        ("1, then, x, email", "the time stamp is not a whole number"),
        (", 5, x, email", "the mpid is not a whole number"),
        ("1.0, 5, x, email", "the mpid is not a whole number"),
        ("1e18, 5, x, email", "the mpid is not a whole number"),
        ("9223372036854775808, 5, x, email", "the mpid is not a whole number"),
        ("1, 5, a\0b, email", "NUL"),
        (f"1, 5, {'x' * 5_000}, email", "an identity is longer than 4,096 bytes"),
        (f"1, 5, {'x' * 3_000_000}, email", "the row is longer than 2 MB"),
        (f"1, 5, {'x' * 10_000_000}, email", "the row is longer than 2 MB"),
    ],
)
@pytest.mark.parametrize("before", sampled([[ROW, '2, 5, "two\nlines", customer_id'], [ROW] * 3, [ROW, "", ROW]], 3))
def test_bad_rows(refusal: Refusal, before: list[str], row: str, message: str) -> None:
    """The error for a bad row has its line, as a text editor counts lines."""
    text = "\n".join([HEADER, *before, row, ROW, ""])
    error = refusal(text)

    assert message in error.message
    assert error.line == text.count("\n", 0, text.index(row)) + 1


def test_a_late_row(refusal: Refusal) -> None:
    """A bad row is found far beyond the part that is used to recognize the file."""
    assert refusal("\n".join([HEADER, *[ROW] * 100_000, "1, 5, x"])).line == 100_002


@pytest.mark.parametrize("lines", sampled([10, 0, 100_000], 3))
@pytest.mark.parametrize("bad_byte", sampled([b"\xe9", b"\xff", b"\xc3("], 3))
def test_latin_1(refusal: Refusal, lines: int, bad_byte: bytes) -> None:
    """The error for a file that is not UTF-8 has the line of the first bad byte."""
    text = "\n".join([HEADER, *[ROW] * lines, "1, 5, caf"]).encode() + bad_byte + b", email\n"
    error = refusal(text)

    assert "is not UTF-8 text. Save it again with the encoding UTF-8." in error.message
    assert error.line == lines + 2


def test_latin_1_in_json(refusal: Refusal) -> None:
    """The error for JSON that is not UTF-8 is the same."""
    lines = "\n".join([change()] * 20_000) + "\n" + change(email="café@example.com").replace("\\u00e9", "é")
    error = refusal(lines.encode("latin-1"))

    assert ("is not UTF-8 text" in error.message, error.line) == (True, 20_001)


def test_utf8_letter_at_the_end_of_the_head(refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A two-byte letter at the edge of the first read is not an error."""
    text = f"{HEADER}\n1, 5, é, email\n1"
    monkeypatch.setattr(csv_format, "HEAD", text.encode().index(b"\xc3") + 1)

    assert "the row has 1 cells" in refusal(text).message


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\n1, 5, secret@example.com\n",
        f"{HEADER}\nsecret@example.com, 5, x, email\n",
        f"{HEADER}\n1, secret@example.com, x, email\n",
        f'{HEADER}\n1, 5, "secret@example.com, email\n',
        f"{HEADER}\n1, 5, secret\0@example.com, email\n",
        f"{HEADER}\n1, 5, secret@example.com{'x' * 3_000_000}, email\n",
        "secret@example.com,secret\n1,2\n",
        "email,isadd\nsecret@example.com,secret\n",
        "email,isadd,timestamp\nsecret@example.com,1,secret\n",
        "mpid,email\nsecret,secret@example.com\n",
        change(1, stamp="secret"),
        change("secret"),
        change(1, email="secret@example.com")[:-1],
        change() + '{"IsAddRequest": "secret"}',
        change() + '{"IsAddRequest": true, "IdentityValues": "secret@example.com"}',
        change() + '{"IsAddRequest": true, "IsAddRequest": "secret@example.com"}',
        b"email\nsecret@example.com\xe9\n",
    ],
)
def test_an_error_never_shows_content(refusal: Refusal, content: str | bytes) -> None:
    """An error contains nothing of the file: not in its message, its traceback or a chained exception."""
    error = refusal(content)

    assert "secret" not in "".join(traceback.format_exception(error)).replace("test_an_error_never_shows_content", "")
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (duckdb.IOException("Could not write file: No space left on device"), SettingsError),
        (duckdb.OutOfMemoryException("failed to offload data block (max_temp_directory_size)"), SettingsError),
        (duckdb.OutOfMemoryException("could not allocate block"), SettingsError),
        (duckdb.IOException("Could not read from file: Input/output error"), SettingsError),
        (duckdb.InternalException("assertion about secret@example.com"), InputError),
        (duckdb.FatalException("secret@example.com"), InputError),
        (duckdb.InvalidInputException("secret@example.com"), InputError),
        (RuntimeError("secret@example.com"), InputError),
    ],
)
def test_errors_of_duckdb(tmp_path: Path, problem: Exception, kind: type[SyncError]) -> None:
    """A full disk is not an error of the file, and no error shows the file's content."""
    path = tmp_path / "a.csv"
    path.write_text("email\n")
    error = duckdb_errors.explain(problem, SourceFile(path, "a.csv"))

    assert isinstance(error, kind)
    assert "secret" not in error.message


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_that_can_not_be_written(code: int) -> None:
    """The error for a disk that can't be written says what to do."""
    with pytest.raises(SettingsError, match="data dir"), duckdb_errors.disk_errors():
        raise OSError(code, "disk")


def test_an_interrupt_passes(tmp_path: Path, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption is raised as such, and not as an error of the file."""

    class Interrupted:
        """A connection whose statements are interrupted at once."""

        def execute(self, sql: str) -> duckdb.DuckDBPyConnection:
            """Execute only the statements that clean up."""
            if sql.startswith("DROP"):
                return con.execute(sql)
            raise duckdb.InterruptException("INTERRUPT Error: Interrupted!")

    path = tmp_path / "a.csv"
    path.write_text(download_csv())
    with pytest.raises(duckdb.InterruptException):
        read(path, Interrupted())  # type: ignore[arg-type]
