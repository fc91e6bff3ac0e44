"""The size of an audience in mParticle is compared with the people that syncs know of it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.models.run import SyncMode
from core.runs.audience_sizes import audience_size
from core.store import mappings
from core.store.mappings import RemovalPolicy
from sandbox.mparticle.platform import ListedAudience
from tests.core.harness import Sync, people, person, syncing
from tests.core.mparticle_access import listed


@pytest.fixture
async def sync(tmp_path: Path) -> AsyncIterator[Sync]:
    """An engine whose mapping was synced with 3 people and one who was rejected; mParticle counts 4."""
    async with syncing(tmp_path) as opened:
        await opened.mirror([*people(range(3)), person(3, email="no-address")])
        async with listed(opened, ListedAudience(8754, "Spring", 4)):
            yield opened


async def test_rejected_members_are_known(sync: Sync) -> None:
    """People that the last sync of the whole audience rejected are not missed on the list."""
    async with sync.engine.database.read() as db:
        mapping = await mappings.by_id(db, 1)
    assert mapping is not None
    size = await audience_size(sync.engine, mapping)
    assert size is not None
    assert (size.in_mparticle, size.synced, size.keeps) == (4, 4, False)


@pytest.mark.parametrize("settings", [{"removal_policy": RemovalPolicy.KEEP}, {"mode": SyncMode.ADD.value}])
async def test_people_who_left_stay(sync: Sync, settings: dict[str, Any]) -> None:
    """A list that keeps people, by its removal policy or because it is only added to, may have more of them."""
    async with sync.engine.database.read() as db:
        mapping = await mappings.by_id(db, 1)
    assert mapping is not None
    size = await audience_size(sync.engine, replace(mapping, **settings))
    assert size is not None
    assert size.keeps
    assert not replace(size, synced=5_000).differs
    assert replace(size, synced=5_000, keeps=False).differs
