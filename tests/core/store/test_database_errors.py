"""Texts for database errors, without the driver's own text."""

import sqlite3
from contextlib import closing

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from core.errors import SettingsError
from core.store.database import Database
from core.store.database_errors import describe


def _of(original: Exception) -> Exception:
    return OperationalError("SELECT 1", {}, original)


@pytest.mark.parametrize(
    "text",
    [
        "[Errno -2] failed to resolve host 'ss': Name or service not known",
        'connection failed: FATAL: password authentication failed for user "ss"',
        'invalid input syntax for type bigint: "ss@example.com"',
    ],
)
def test_text_of_the_driver_is_not_shown(text: str) -> None:
    """Only the type of a PostgreSQL error is shown: its text may contain parts of a password or values of rows."""
    message = describe(_of(psycopg.OperationalError(text)))
    assert message.startswith("The database did not answer as it should (OperationalError).")


def test_state_is_shown() -> None:
    """The code of a PostgreSQL error is shown, so that it can be looked up."""
    assert "SQLSTATE 53300" in describe(_of(psycopg.errors.TooManyConnections("too many for ss")))


def test_text_of_sqlite() -> None:
    """SQLite's fixed texts are shown, and those that repeat input are not."""
    with pytest.raises(sqlite3.Error) as unopened:
        sqlite3.connect("/nowhere/at/all/a.sqlite")
    assert "unable to open database file" in describe(_of(unopened.value))
    with closing(sqlite3.connect(":memory:")) as db, pytest.raises(sqlite3.Error) as wrong:
        db.execute("SELECT p1_at_example")
    assert "p1_at_example" not in describe(_of(wrong.value))


def test_path_is_not_shown() -> None:
    """An error of the disk is shown without the path."""
    message = describe(FileNotFoundError(2, "No such file or directory", "/srv/private/a.csv"))
    assert "No such file or directory" in message
    assert "/srv" not in message


async def test_ambiguous_password() -> None:
    """A password whose end is unclear is refused before a part is taken for the host, and is not repeated."""
    with pytest.raises(SettingsError, match="@ as %40") as refused:
        Database("postgresql://user:p@ss/w%rd@127.0.0.1:1/sync")
    assert "ss/w" not in refused.value.message
