"""The databases for tests of the store's SQL: both kinds are quick here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.databases import new_database


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a new database with all tables, of both kinds."""
    yield from new_database(request, tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without tables, of both kinds."""
    yield from new_database(request, tmp_path, empty=True)
