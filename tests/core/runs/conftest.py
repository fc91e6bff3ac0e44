"""Fixtures for tests of runs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.harness import Sync, syncing


@pytest.fixture
async def sync(tmp_path: Path, database_url: str) -> AsyncIterator[Sync]:
    """An engine on each kind of database."""
    async with syncing(tmp_path, database_url) as opened:
        yield opened
