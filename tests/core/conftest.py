"""Fixtures of the core's tests."""

from collections.abc import AsyncIterator

import pytest

from core.store.database import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database with all tables."""
    database = Database(database_url)
    yield database
    await database.close()
