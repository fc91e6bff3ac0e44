"""What the tests of the core have in common."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from core.store.database import Database

# How fast an example is says something about the machine, and nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database in its present form."""
    opened = Database(database_url)
    yield opened
    await opened.close()
