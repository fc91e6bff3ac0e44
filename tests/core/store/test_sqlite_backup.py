"""A copy of a SQLite file that belongs to one instant."""

import sqlite3
from contextlib import closing
from pathlib import Path

from core.store.sqlite_backup import copy_file


def test_copy_while_a_process_writes(tmp_path: Path) -> None:
    """A copy is made during a write, and has what was committed before."""
    file, copied = tmp_path / "numbers.sqlite", tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(file)) as writer:
        writer.executescript("PRAGMA journal_mode=WAL; CREATE TABLE numbers(n); INSERT INTO numbers VALUES (0)")
        writer.execute("INSERT INTO numbers VALUES (1)")
        copy_file(file, copied)
        writer.commit()
    with closing(sqlite3.connect(copied)) as copy:
        assert copy.execute("SELECT n FROM numbers").fetchall() == [(0,)]
