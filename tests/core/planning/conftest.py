"""Fixtures for tests of planning."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.harness import Sync, syncing


@pytest.fixture
async def sync(tmp_path: Path) -> AsyncIterator[Sync]:
    """An engine with a local Iterable."""
    async with syncing(tmp_path) as opened:
        yield opened
