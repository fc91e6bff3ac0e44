"""A workspace for the readers, and an engine for syncs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.harness import Sync, syncing
from tests.core.sources.conftest import con, opened, reading, refusal, workspace

__all__ = ["con", "opened", "reading", "refusal", "sync", "workspace"]


@pytest.fixture
async def sync(tmp_path: Path) -> AsyncIterator[Sync]:
    """An engine with a local Iterable."""
    async with syncing(tmp_path) as engine_and_iterable:
        yield engine_and_iterable
