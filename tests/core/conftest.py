"""The databases that core's tests run on: SQLite in a file, and a real PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from core.store.database import Database
from tests.core.databases import new_postgresql, new_sqlite, postgresql, without

# How fast an example is says something about the machine, and nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as the tests of this process."""
    with postgresql() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a new database in its present form; each test that uses it runs on both kinds."""
    if request.param == "sqlite":
        yield new_sqlite(tmp_path)
        return
    server = request.getfixturevalue("postgresql_server")
    url = new_postgresql(server)
    yield url
    without(server, url)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without tables, of both kinds."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'iterable-sync.sqlite'}"
        return
    server = request.getfixturevalue("postgresql_server")
    url = new_postgresql(server, empty=True)
    yield url
    without(server, url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database in its present form."""
    opened = Database(database_url)
    yield opened
    await opened.close()
