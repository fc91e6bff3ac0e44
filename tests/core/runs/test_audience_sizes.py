"""The size of an audience in mParticle is compared with the people that syncs know of it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.connections.mparticle import connect_mparticle
from core.models.run import SyncMode
from core.mparticle.models import Pod
from core.runs.audience_sizes import audience_size
from core.store import connections, mappings
from core.store.mappings import RemovalPolicy
from sandbox.mparticle.lifecycle import running
from sandbox.mparticle.platform import DEFAULT_ACCOUNT, ListedAudience, Platform
from tests.core.harness import Sync, people, person, syncing


@pytest.fixture
async def sync(tmp_path: Path) -> AsyncIterator[Sync]:
    """An engine whose mapping was synced with 3 people and one who was rejected; mParticle counts 4."""
    platform = Platform(accounts={DEFAULT_ACCOUNT: [ListedAudience(8754, "Spring", 4)]})
    async with running(platform) as started, syncing(tmp_path) as opened:
        opened.engine.settings = opened.engine.settings.model_copy(update={"mparticle_url": started.url})
        await opened.mirror([*people(range(3)), person(3, email="no-address")])
        async with opened.engine.database.write() as db:
            connection = (await connections.everyone(db))[0]
            await mappings.change(db, 1, audience_id="8754")
        await connect_mparticle(
            opened.engine,
            connection,
            client_id=platform.client_id,
            client_secret=platform.client_secret,
            account_id=str(DEFAULT_ACCOUNT),
            pod=Pod.EU1,
            by="U1",
            team_id=None,
        )
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
