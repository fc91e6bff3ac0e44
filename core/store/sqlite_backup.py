"""Copies of SQLite's files that belong to one instant, while processes write.

The database and the workflow engine's file are two files with one writer each. For an instant this locks both against
writers and opens a snapshot of each; then writers proceed, and the snapshots are copied (sqlite.org/backup.html: a
backup reads the snapshot of its source's transaction).
"""

import os
import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from core.errors import InputError, StorageError
from core.store.database import BUSY_TIMEOUT_S


def copy_files(files: Mapping[Path, Path]) -> None:
    """Copy each database (key) to a new file (value), all as of one instant.

    Raises StorageError if one can't be read or the copy can't be written.
    """
    try:
        with ExitStack() as stack:
            snapshots = {source: stack.enter_context(closing(_open(source))) for source in files}
            with ExitStack() as locks:
                writers = [locks.enter_context(closing(_open(source))) for source in files]
                for writer in writers:
                    writer.execute("BEGIN IMMEDIATE")
                for snapshot in snapshots.values():
                    snapshot.execute("BEGIN")
                    snapshot.execute("SELECT count(*) FROM sqlite_master").fetchone()
                for writer in writers:
                    writer.execute("ROLLBACK")
            for source, target in files.items():
                with closing(sqlite3.connect(target)) as copy:
                    snapshots[source].backup(copy)
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
