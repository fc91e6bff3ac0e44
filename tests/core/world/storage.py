"""Databases that can be saved in their state on disk at any moment, which is what a dying process leaves."""

import shutil
import sqlite3
import uuid
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql


class Storage(Protocol):
    """A world's database."""

    @property
    def url(self) -> str:
        """The current address."""

    def keep(self) -> None:
        """Save the current state on disk. Later writes are lost."""

    def put_back(self) -> None:
        """Make the saved state the database."""

    def close(self) -> None:
        """Remove the database."""


class Sqlite:
    """SQLite: one file."""

    def __init__(self, directory: Path) -> None:
        """Create the directory."""
        directory.mkdir(parents=True)
        self._file = directory / "iterable-sync.sqlite"

    @property
    def url(self) -> str:
        """The address."""
        return f"sqlite:///{self._file}"

    def keep(self) -> None:
        """Copy the file with SQLite's backup, which leaves out uncommitted changes."""
        current, copy = sqlite3.connect(self._file), sqlite3.connect(self._file.with_suffix(".kept"))
        current.backup(copy)
        current.close()
        copy.close()

    def put_back(self) -> None:
        """Replace the file with the copy."""
        for end in ("", "-wal", "-shm"):
            Path(f"{self._file}{end}").unlink(missing_ok=True)
        shutil.move(self._file.with_suffix(".kept"), self._file)

    def close(self) -> None:
        """Do nothing: the directory is removed with its content."""


class Postgresql:
    """PostgreSQL: a database on a server."""

    def __init__(self, server: str) -> None:
        """Store the server's address, and create a database."""
        self._server = server
        self._admin = psycopg.connect(server, autocommit=True)
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # a test needs no durability
            self._admin.execute(f"ALTER SYSTEM SET {setting} = off")
        self._admin.execute("SELECT pg_reload_conf()")
        self._current, self._kept = self._name(), ""
        self._do("CREATE DATABASE {}", self._current)

    @property
    def url(self) -> str:
        """The current address."""
        address, _, rest = self._server.partition("/postgres?")
        return f"{address}/{self._current}?{rest}"

    def keep(self) -> None:
        """Copy the database without open transactions: no client may be connected meanwhile."""
        self._kept = self._name()
        self._do("ALTER DATABASE {} ALLOW_CONNECTIONS false", self._current)
        self._admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [self._current]
        )
        self._do("CREATE DATABASE {} TEMPLATE {}", self._kept, self._current)
        self._do("ALTER DATABASE {} ALLOW_CONNECTIONS true", self._current)

    def put_back(self) -> None:
        """Make the copy the database."""
        self._do("DROP DATABASE {} WITH (FORCE)", self._current)
        self._current = self._kept

    def close(self) -> None:
        """Drop the database."""
        self._do("DROP DATABASE {} WITH (FORCE)", self._current)
        self._admin.close()

    def _do(self, statement: str, *names: str) -> None:
        self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    @staticmethod
    def _name() -> str:
        return f"world_{uuid.uuid4().hex}"
