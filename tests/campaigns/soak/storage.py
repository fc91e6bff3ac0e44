"""The stored data of the soak's processes: SQLite in the data directory of one, or PostgreSQL that several share."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg

from tests.core.databases import new_postgresql, postgresql, start, stop

# Tables whose rows are never deleted.
HISTORY = ("runs", "audit", "alerts", "posts")

Records = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Sizes:
    """MB on disk, by kind; `history` is a part of the database."""

    parts: Mapping[str, float]
    history: float


class Storage(Protocol):
    """The storage of the processes."""

    #: The database's address, or None for SQLite in the data directory.
    url: str | None
    #: Whether the database's server is stopped at the moment.
    is_away: bool

    def sizes(self, data_dirs: list[Path]) -> Sizes:
        """The sizes of all data."""
        ...

    def records(self) -> Records:
        """The rows and bytes of tables whose rows are never deleted, with their indexes."""
        ...


class Sqlite:
    """SQLite, in a data directory."""

    url: str | None = None
    is_away = False

    def __init__(self, data_dir: Path) -> None:
        """Store the path."""
        self._path = data_dir / "iterable-sync.sqlite"

    def sizes(self, data_dirs: list[Path]) -> Sizes:
        """The sizes of all data."""
        parts = {
            "the database": 0.0,
            "its write-ahead log": 0.0,
            "other files": 0.0,
        }
        for path, size in _files(data_dirs):
            parts[_kind(path.name)] += size / 1e6
        return Sizes(parts, _history(self.records()))

    def records(self) -> Records:
        """The rows and bytes, by SQLite's statistics."""
        counts = {}
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as db:
            for table in HISTORY:
                (rows,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
                names = "SELECT name FROM sqlite_master WHERE tbl_name = ?"
                (size,) = db.execute(f"SELECT sum(pgsize) FROM dbstat WHERE name IN ({names})", (table,)).fetchone()
                counts[table] = (rows, size)
        return counts


class Postgresql:
    """A PostgreSQL database, whose server can be stopped."""

    def __init__(self, server: str, url: str) -> None:
        """Store the addresses of the server and of the database."""
        self.url: str | None = url
        self.is_away = False
        self._address = url
        self._server = server

    def stop(self) -> None:
        """Stop the server: its connections break, and no new ones are possible."""
        self.is_away = True
        stop(self._server)

    def start(self) -> None:
        """Start the server again."""
        start(self._server)
        self.is_away = False

    def sizes(self, data_dirs: list[Path]) -> Sizes:
        """The sizes of all data."""
        with psycopg.connect(self._address, autocommit=True) as db:
            ((total,),) = db.execute("SELECT pg_database_size(current_database())").fetchall()
        parts = {
            "the database": float(total) / 1e6,
            "files": sum(size for _, size in _files(data_dirs)) / 1e6,
        }
        return Sizes(parts, _history(self.records()))

    def records(self) -> Records:
        """The rows and bytes, by PostgreSQL's statistics."""
        counts = {}
        with psycopg.connect(self._address, autocommit=True) as db:
            for table in HISTORY:
                ((rows, size),) = db.execute(
                    f"SELECT (SELECT count(*) FROM {table}), pg_total_relation_size('{table}')"
                ).fetchall()
                counts[table] = (int(rows), int(size))
        return counts


@contextmanager
def on_postgresql() -> Iterator[Postgresql]:
    """A new and empty database, on a server with autovacuum at a shorter interval."""
    with postgresql() as server:
        with psycopg.connect(server, autocommit=True) as db:
            db.execute("ALTER SYSTEM RESET autovacuum")
            db.execute("ALTER SYSTEM SET autovacuum_naptime = '5s'")
            db.execute("SELECT pg_reload_conf()")
        yield Postgresql(server, new_postgresql(server, empty=True))


def _history(records: Records) -> float:
    return sum(size for _, size in records.values()) / 1e6


def _files(directories: list[Path]) -> Iterator[tuple[Path, int]]:
    for directory in directories:
        for path in directory.rglob("*"):
            with suppress(FileNotFoundError):  # the processes still run
                if path.is_file():
                    yield path, path.stat().st_size


def _kind(name: str) -> str:
    if name == "iterable-sync.sqlite":
        return "the database"
    if name.startswith("iterable-sync.sqlite-"):
        return "its write-ahead log"
    return "other files"
