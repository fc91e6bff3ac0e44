"""What can't be read: one sentence, with the place, and nothing of what the file holds."""

# As text: hypothesis keeps the tests to the very end, where DuckDB reports types that are still used as leaks.
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
from tests.core.sources.factories import HEADER, change, download_csv

Refusal = Callable[..., InputError]
ROW = "1, 5, m.hyde@example.com, email"


def test_a_missing_file(tmp_path: Path, refusal: Refusal) -> None:
    """By its name, without its directory."""
    assert refusal(tmp_path / "a.csv").message == "a.csv: there is no such file. Check the path."


def test_a_directory(tmp_path: Path, refusal: Refusal) -> None:
    """A folder may hold the parts of an audience; this one holds nothing."""
    assert "is a folder without a file of an audience in it" in refusal(tmp_path).message


def test_a_pipe(tmp_path: Path, refusal: Refusal) -> None:
    """A file is read more than once, which a pipe can't be."""
    os.mkfifo(tmp_path / "pipe")

    assert "is not a regular file" in refusal(tmp_path / "pipe").message


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000])
def test_a_path_that_can_not_be(tmp_path: Path, refusal: Refusal, name: str) -> None:
    """Too long, or with a byte that no path has."""
    assert "Check the path" in refusal(tmp_path / name).message


def test_no_permission(tmp_path: Path, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The superuser may read anything, so the refusal of the system is played."""

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "denied")

    path = tmp_path / "a.csv"
    path.write_text("email\n")
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match="may not be read"):
        read(path, con)


def test_a_name_that_is_not_utf8(tmp_path: Path, refusal: Refusal) -> None:
    """The error can be printed all the same."""
    path = tmp_path / os.fsdecode(b"a\xff.csv")
    path.write_text(download_csv())

    assert refusal(path).message.encode() == b"a?.csv: the path is not UTF-8 text. Rename the file or its directory."


@pytest.mark.parametrize("content", ["", " \n\t\n", "\ufeff", "\ufeff\n\n"])
def test_an_empty_file(refusal: Refusal, content: str) -> None:
    """Nothing but white space is nothing."""
    assert refusal(content).message == "file.csv: is empty. Export it again."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b\x08\x00", "is not a whole gzip file"),
        (b"BZh9", "is not a whole bzip2 file"),
        (b"\xfd7zXZ\x00", "is not a whole xz file"),
        (b"\x28\xb5\x2f\xfd", "is not a whole zstd file"),
        (b"[1, 2]", "is a JSON array, but not of objects. Accepted are mParticle's audience downloads"),
        (b'{"a": 1}', "has no column with an identity, only a."),
        (b'{"a": ', "the JSON is broken"),
        (b"{" * 100_000, "the JSON is broken"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the JSON is broken"),
        (b"email\n" + b"\0" * 10, "holds a NUL byte"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is a picture"),
        (b"x," * 600_000 + b"\n", "the first line is longer than 1 MB"),
        (b"email," + b"x," * 5000 + b"\n1\n", "has 5002 columns"),
        (b'{"IsAddRequest": true, "x": "' + b"y" * 2_000_000 + b'"}', "the first object is longer than 1 MB"),
        (change().encode() + b'{"IsAddRequest": true, "x": "' + b"y" * 40_000_000 + b'"}', "more than 2 MB"),
    ],
)
def test_what_is_no_audience(refusal: Refusal, content: bytes, message: str) -> None:
    """Recognised before it costs memory or time."""
    assert message in refusal(content).message


@pytest.mark.parametrize("name", ["a.zip", "a.PARQUET"])
def test_a_name_that_promises_more(refusal: Refusal, name: str) -> None:
    """A page with an error, saved under the name of the download."""
    assert "is not what its name says" in refusal("<html>Sign in</html>", name).message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1, 5, x", "the row has 3 cells where the header has 4"),
        ("1, 5, x, email, y", "the row has 5 cells where the header has 4"),
        ('1, 5, "x, email', "a quotation mark is not closed"),
        ('1, 5, "x" y, email', "a quotation mark is not closed, or stands inside a value"),
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
@pytest.mark.parametrize("before", [[ROW] * 3, [ROW, '2, 5, "two\nlines", customer_id'], [ROW, "", ROW]])
def test_rows_that_are_refused(refusal: Refusal, before: list[str], row: str, message: str) -> None:
    """With the line as a text editor counts it."""
    text = "\n".join([HEADER, *before, row, ROW, ""])
    error = refusal(text)

    assert message in error.message
    assert error.line == text.count("\n", 0, text.index(row)) + 1


def test_a_late_row(refusal: Refusal) -> None:
    """Far beyond what is looked at to recognise the file."""
    assert refusal("\n".join([HEADER, *[ROW] * 100_000, "1, 5, x"])).line == 100_002


@pytest.mark.parametrize("lines", [0, 10, 100_000])
@pytest.mark.parametrize("bad", [b"\xe9", b"\xff", b"\xc3("])
def test_latin_1(refusal: Refusal, lines: int, bad: bytes) -> None:
    """The line of the first byte that is not UTF-8, wherever it is."""
    text = "\n".join([HEADER, *[ROW] * lines, "1, 5, caf"]).encode() + bad + b", email\n"
    error = refusal(text)

    assert "is not UTF-8 text. Save it again with the encoding UTF-8." in error.message
    assert error.line == lines + 2


def test_latin_1_in_json(refusal: Refusal) -> None:
    """Said of JSON in the same words."""
    lines = "\n".join([change()] * 20_000) + "\n" + change(email="café@example.com").replace("\\u00e9", "é")
    error = refusal(lines.encode("latin-1"))

    assert ("is not UTF-8 text" in error.message, error.line) == (True, 20_001)


def test_utf8_split_where_the_head_ends(refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter of two bytes at the edge of what is looked at first is no error."""
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
def test_an_error_never_holds_what_a_file_holds(refusal: Refusal, content: str | bytes) -> None:
    """Not in its message, not in its traceback, and not in an exception that hangs on to it."""
    error = refusal(content)

    assert "secret" not in "".join(traceback.format_exception(error)).replace("test_an_error", "")
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
    """A full disk is not the fault of the file, and neither kind shows what it holds."""
    path = tmp_path / "a.csv"
    path.write_text("email\n")
    error = duckdb_errors.explain(problem, SourceFile(path, "a.csv"))

    assert isinstance(error, kind)
    assert "secret" not in error.message


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_that_can_not_be_written(code: int) -> None:
    """What a person can do about it is in the message."""
    with pytest.raises(SettingsError, match="data dir"), duckdb_errors.disk_errors():
        raise OSError(code, "disk")


def test_an_interrupt_passes(tmp_path: Path, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who interrupts the reading must be able to tell that it was interrupted."""

    class Interrupted:
        """A connection whose statements are interrupted at once."""

        def execute(self, sql: str) -> duckdb.DuckDBPyConnection:
            """Only what cleans up is let through."""
            if sql.startswith("DROP"):
                return con.execute(sql)
            raise duckdb.InterruptException("INTERRUPT Error: Interrupted!")

    path = tmp_path / "a.csv"
    path.write_text(download_csv())
    with pytest.raises(duckdb.InterruptException):
        read(path, Interrupted())  # type: ignore[arg-type]
