"""Copies of two SQLite files that belong to one instant."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from core.store.sqlite_backup import copy_files
from tests.bot.cli.commands import until


def _numbers(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as database:
        return [number for (number,) in database.execute("SELECT n FROM numbers")]


def _is_locked(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False


def test_copies_are_of_one_instant(tmp_path: Path) -> None:
    """The copies begin when no file is being written: the first is locked until the writer of the second ends."""
    files = [tmp_path / "first.sqlite", tmp_path / "second.sqlite"]
    copies = [tmp_path / "first-copy.sqlite", tmp_path / "second-copy.sqlite"]
    for file in files:
        with closing(sqlite3.connect(file)) as database:
            database.executescript("PRAGMA journal_mode=WAL; CREATE TABLE numbers(n); INSERT INTO numbers VALUES (0)")
    with closing(sqlite3.connect(files[1])) as writer:
        writer.execute("INSERT INTO numbers VALUES (1)")
        copying = threading.Thread(target=copy_files, args=(dict(zip(files, copies, strict=True)),))
        copying.start()
        try:
            until(lambda: _is_locked(files[0]) or not copying.is_alive())
            assert copying.is_alive()
        finally:
            writer.commit()
            copying.join()
    assert [_numbers(copy) for copy in copies] == [[0], [0, 1]]
    assert not _is_locked(files[0])
