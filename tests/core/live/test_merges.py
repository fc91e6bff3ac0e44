"""mParticle merges profiles: one leaves and another one joins, and both are one person."""

import time
from pathlib import Path
from typing import Any

import pytest

from core.connections.freeze_commands import freeze, unfreeze
from core.store import live_work
from core.store.freezes import Scope
from core.store.mappings import FreezeHolds
from sandbox.mparticle import Profile
from tests.core.databases import sampled
from tests.core.live.test_live import addresses, start
from tests.firehosing import LIST, VIPS, Live, firehosing, person, until

HOUR_S = 3600.0
BY: dict[str, Any] = {"by": "U1", "team_id": None}


def departures(service: Live) -> int:
    """How many requests have taken people off the list."""
    return service.iterable.state.log.total("/api/lists/unsubscribe")


async def test_merged_profile_stays_on_the_list(tmp_path: Path, database_url: str) -> None:
    """Who leaves waits for the window; when the other profile joins, the person is never taken off the list."""
    async with firehosing(tmp_path, database_url, firehose_merge_window_s=HOUR_S) as service:
        await start(service, 1, 2)
        await service.mparticle.merge(VIPS, person(1), person(100, email="P1@example.com", customer_id=None))
        await service.mparticle.merge(
            VIPS, Profile(2, None, "c2"), person(200, email="p2@example.com", customer_id="c2")
        )
        status = await service.settled()
        assert service.emails() == addresses(1, 2)
        assert departures(service) == 0
        assert (status.added, status.updated, status.removed) == (2, 2, 0)


@pytest.mark.extended
async def test_joiner_may_come_first(tmp_path: Path) -> None:
    """If the new profile joins before the other one leaves, that is one update too."""
    async with firehosing(tmp_path, firehose_merge_window_s=0.0) as service:
        await start(service, 1)
        await service.mparticle.add(VIPS, person(100, email="p1@example.com", customer_id="c1"))
        status = await service.settled()
        assert (status.added, status.updated) == (1, 1)
        await service.mparticle.delete(VIPS, person(1))
        status = await service.settled()
        assert (status.added, status.updated, status.removed) == (1, 1, 0)
        assert (service.emails(), departures(service)) == (addresses(1), 0)


async def test_leaver_waits_for_the_window(tmp_path: Path) -> None:
    """Who leaves and is not merged stays on the list until the window is over; others go out meanwhile."""
    async with firehosing(tmp_path, firehose_merge_window_s=1.0) as service:
        await start(service, 1)
        await service.mparticle.tell(VIPS, [("delete", person(1)), ("add", person(2))])

        async def has_joined() -> bool:
            return service.emails() == addresses(1, 2)

        await until(has_joined)
        await service.settled()
        assert service.emails() == addresses(2)


async def test_bulk_removal_does_not_wait(tmp_path: Path) -> None:
    """When an audience is disconnected and its people are removed, no removal waits for the window."""
    from core import live

    async with firehosing(tmp_path, firehose_merge_window_s=HOUR_S) as service:
        await start(service, 1, 2)
        await service.mparticle.disconnect(VIPS)
        assert await live.remove_members(service.engine, (await service.mapping()).id, by="U1")

        async def is_empty() -> bool:
            return service.emails(LIST) == set()

        await until(is_empty)


@pytest.mark.parametrize("held", sampled(list(FreezeHolds), 3))
async def test_merged_profile_stays_on_a_frozen_list(tmp_path: Path, database_url: str, held: FreezeHolds) -> None:
    """Whatever is frozen, no one is taken off whose other profile waits to join; others go out, and the rest later."""
    async with firehosing(tmp_path, database_url) as service:
        await start(service, 1, 2)
        mapping_id = (await service.mapping()).id
        scope = Scope(mapping_id)
        await freeze(service.engine, scope, until=time.time() + HOUR_S, holds=held, **BY)
        await service.mparticle.merge(VIPS, person(1), person(100, email="P1@example.com", customer_id=None))
        await service.mparticle.tell(VIPS, [("delete", person(2)), ("add", person(3))])
        expected = {
            FreezeHolds.ADDITIONS: addresses(1),
            FreezeHolds.REMOVALS: addresses(1, 2, 3),
            FreezeHolds.BOTH: addresses(1, 2),
        }[held]

        async def is_idle() -> bool:
            async with service.engine.database.read() as db:
                return service.emails() == expected and not await live_work.pending(db, 0.0, 1)

        await until(is_idle)
        assert await unfreeze(service.engine, scope, **BY) is None
        await service.settled()
        assert service.emails() == addresses(1, 3)
        moves = {email: (joins, leaves) for email, _, joins, leaves in service.iterable.state.history(LIST)}
        assert moves["p1@example.com"] == (1, 0)
