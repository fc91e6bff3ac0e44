"""Databases that can be kept as they are on disk at a moment, which is all that a process leaves that dies then."""

import shutil
import sqlite3
import uuid
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql


class Storage(Protocol):
    """A database of its own for a world."""

    @property
    def url(self) -> str:
        """Where it is now."""

    def keep(self) -> None:
        """Keep what is on disk now. Whoever is at work on it goes on with something that nobody will see."""

    def put_back(self) -> None:
        """Make what was kept the database."""

    def close(self) -> None:
        """Remove it."""


class Sqlite:
    """SQLite: its own file, and the workflow engine's."""

    def __init__(self, directory: Path) -> None:
        """Take a directory for it."""
        directory.mkdir(parents=True)
        self._files = [directory / "iterable-sync.sqlite", directory / "iterable-sync-workflows.sqlite"]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"sqlite:///{self._files[0]}"

    def keep(self) -> None:
        """Copy the files with SQLite's own means, which leave out what was not committed."""
        for file in filter(Path.exists, self._files):
            now, kept = sqlite3.connect(file), sqlite3.connect(file.with_suffix(".kept"))
            now.backup(kept)
            now.close()
            kept.close()

    def put_back(self) -> None:
        """Put the copies in the place of the files."""
        for file in self._files:
            for end in ("", "-wal", "-shm"):
                Path(f"{file}{end}").unlink(missing_ok=True)
            if file.with_suffix(".kept").exists():
                shutil.move(file.with_suffix(".kept"), file)

    def close(self) -> None:
        """The directory is removed with all in it."""


class Postgresql:
    """PostgreSQL: a database of a server."""

    def __init__(self, server: str) -> None:
        """Take the server's address."""
        self._server = server
        self._admin = psycopg.connect(server, autocommit=True)
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # no power is lost here
            self._admin.execute(f"ALTER SYSTEM SET {setting} = off")
        self._admin.execute("SELECT pg_reload_conf()")
        self._now, self._kept = self._name(), ""
        self._do("CREATE DATABASE {}", self._now)

    @property
    def url(self) -> str:
        """Where it is now."""
        address, _, rest = self._server.partition("/postgres?")
        return f"{address}/{self._now}?{rest}"

    def keep(self) -> None:
        """Copy the database, which rolls back what is under way: nobody may be connected meanwhile."""
        self._kept = self._name()
        self._do("ALTER DATABASE {} ALLOW_CONNECTIONS false", self._now)
        self._admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [self._now]
        )
        self._do("CREATE DATABASE {} TEMPLATE {}", self._kept, self._now)
        self._do("ALTER DATABASE {} ALLOW_CONNECTIONS true", self._now)

    def put_back(self) -> None:
        """Make the copy the database."""
        self._do("DROP DATABASE {} WITH (FORCE)", self._now)
        self._now = self._kept

    def close(self) -> None:
        """Drop it."""
        self._do("DROP DATABASE {} WITH (FORCE)", self._now)
        self._admin.close()

    def _do(self, statement: str, *names: str) -> None:
        self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    @staticmethod
    def _name() -> str:
        return f"world_{uuid.uuid4().hex}"
