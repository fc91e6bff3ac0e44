"""A copy of SQLite's file that belongs to one instant, while processes write.

A backup reads the snapshot of its source's transaction (sqlite.org/backup.html).
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from core.errors import InputError, StorageError
from core.store.database import BUSY_TIMEOUT_S


def copy_file(source: Path, target: Path) -> None:
    """Copy a database to a new file, as of one instant.

    Raises StorageError if it can't be read or the copy can't be written.
    """
    try:
        with closing(_open(source)) as snapshot, closing(sqlite3.connect(target)) as copy:
            snapshot.execute("BEGIN")
            snapshot.execute("SELECT count(*) FROM sqlite_master").fetchone()
            snapshot.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file; the program switches back when it opens it
        _flush(target)
    except sqlite3.Error as error:
        raise StorageError(f"The database could not be copied ({error}). Nothing was changed; try again.") from error


def check_file(path: Path) -> None:
    """Raise InputError if a database file is damaged."""
    try:
        with closing(_open(path)) as database:
            (result,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise InputError(f"{path.name} in the backup is damaged ({error}). Use another backup.") from error
    if result != "ok":
        raise InputError(f"{path.name} in the backup is damaged ({result}). Use another backup.")


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
    )


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
