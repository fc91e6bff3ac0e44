"""What the tests of the core have in common."""

from collections.abc import AsyncIterator

import pytest

from core.store.database import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database in its present form."""
    opened = Database(database_url)
    yield opened
    await opened.close()
