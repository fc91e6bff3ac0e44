"""Copies of two SQLite files that belong to one instant."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from core.store.sqlite_backup import copy_files


def _largest(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        (number,) = database.execute("SELECT max(n) FROM numbers").fetchone()
    return int(number)


def test_copies_are_of_one_instant(tmp_path: Path) -> None:
    """While a writer puts each number into the first file and then into the second, no copy has it in the second alone,
    and none lacks more than one number in the second."""
    files = [tmp_path / "first.sqlite", tmp_path / "second.sqlite"]
    for file in files:
        with closing(sqlite3.connect(file)) as database:
            database.executescript("PRAGMA journal_mode=WAL; CREATE TABLE numbers(n); INSERT INTO numbers VALUES (0)")
    ended, written = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(files[0])) as first, closing(sqlite3.connect(files[1])) as second:
            number = 0
            while not ended.is_set():
                number += 1
                for database in (first, second):
                    with database:
                        database.execute("INSERT INTO numbers VALUES (?)", (number,))
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for attempt in range(15):
            written.clear()
            assert written.wait(30)
            copies = [tmp_path / f"{attempt}-{file.name}" for file in files]
            copy_files(dict(zip(files, copies, strict=True)))
            assert _largest(copies[0]) - _largest(copies[1]) in {0, 1}
    finally:
        ended.set()
        writer.join()
