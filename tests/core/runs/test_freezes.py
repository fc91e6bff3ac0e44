"""Frozen mappings: their runs are planned and wait, and send when the freeze is over."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import update

from core.connections import campaigns as campaign_reader
from core.connections.freeze_commands import freeze, set_campaign_freeze, unfreeze
from core.models.run import RunPhase
from core.runs import worker
from core.store import audit_log, campaigns, freezes, mappings
from core.store.freezes import EVERYTHING, Scope
from core.store.mappings import AudienceMapping, FreezeHolds
from core.store.tables import list_campaigns
from sandbox.iterable import Running
from tests.core.harness import LIST, OTHER_LIST, RunStatus, Sync, addresses, people, until

BY: dict[str, Any] = {"by": "U1", "team_id": None}


async def the_mapping(sync: Sync, list_id: int = LIST) -> AudienceMapping:
    """The only mapping of a list."""
    async with sync.engine.database.read() as db:
        return next(m for m in await mappings.of_connection(db, 1) if m.list_id == list_id)


async def work_until(sync: Sync, run_id: str, status: RunStatus) -> None:
    """Let a worker work until a run has a status."""

    async def has_status() -> bool:
        return (await sync.outcome(run_id)).run.status is status

    working = asyncio.create_task(worker.run_worker(sync.engine))
    await until(has_status)
    sync.engine.stopping.set()
    await working
    sync.engine.stopping.clear()


async def test_a_run_waits_and_goes_on_by_itself(sync: Sync) -> None:
    """A run of a frozen mapping is planned and sends nothing; when it is unfrozen, a worker sends."""
    await sync.mirror(people([1]))
    mapping = await the_mapping(sync)
    await freeze(sync.engine, Scope(mapping.id), until=time.time() + 3600, **BY)

    waiting = await sync.mirror(people([2]))

    assert (waiting.run.phase, waiting.run.worker_id) == (RunPhase.FROZEN, None)
    assert waiting.run.plan is not None
    assert waiting.run.plan.to_add == 1
    assert sync.emails() == addresses([1])
    assert await unfreeze(sync.engine, Scope(mapping.id), **BY) is None
    await work_until(sync, waiting.run.id, RunStatus.SUCCEEDED)
    assert sync.emails() == addresses([2])
    async with sync.engine.database.read() as db:
        entries = await audit_log.of(db, [f"mapping:{mapping.id}"])
    assert [entry.action.value for entry in entries][-2:] == ["mapping.frozen", "mapping.unfrozen"]


@pytest.mark.extended
async def test_a_frozen_run_leaves_later_plans_as_they_are(sync: Sync) -> None:
    """A later plan that waits for approval is made again when the earlier run sends, not while that is frozen."""
    await sync.mirror(people(range(150)))
    earlier = await sync.submit(sync.mirror_file(people(range(151))))
    later = (await sync.mirror(people(range(20)))).run
    assert later.status is RunStatus.NEEDS_APPROVAL
    mapping = await the_mapping(sync)
    await freeze(sync.engine, Scope(mapping.id), until=time.time() + 3600, **BY)
    await worker.start(sync.engine, earlier)
    assert (await sync.outcome(earlier)).run.phase is RunPhase.FROZEN
    assert (await sync.outcome(later.id)).run.status is RunStatus.NEEDS_APPROVAL
    await unfreeze(sync.engine, Scope(mapping.id), **BY)
    await work_until(sync, earlier, RunStatus.SUCCEEDED)
    replanned = (await sync.outcome(later.id)).run
    assert replanned.plan_digest != later.plan_digest


async def test_only_what_is_held_waits(sync: Sync) -> None:
    """With removals frozen, additions are sent; a run with both waits as a whole, and so do changes after it."""
    await sync.delta(people([1, 2]))
    mapping = await the_mapping(sync)
    await freeze(sync.engine, EVERYTHING, until=time.time() + 3600, holds=FreezeHolds.REMOVALS, **BY)

    added = await sync.delta(people([3]))
    both = await sync.delta(people([5]), left=people([1]))
    after = await sync.delta(people([4]))

    assert added.run.status is RunStatus.SUCCEEDED
    assert [each.run.phase for each in (both, after)] == [RunPhase.FROZEN, RunPhase.FROZEN]
    assert sync.emails() == addresses([1, 2, 3])
    async with sync.engine.database.write() as db:  # it is over
        await freezes.put(db, EVERYTHING, FreezeHolds.REMOVALS, time.time() - 1, "U1")
    assert mapping.id == 1
    await work_until(sync, after.run.id, RunStatus.SUCCEEDED)
    assert sync.emails() == addresses([2, 3, 4, 5])


@pytest.mark.extended
async def test_an_upload_stops_when_its_mapping_is_frozen(sync: Sync) -> None:
    """A run that is sending stops after the requests under way, and sends the rest later."""
    await sync.mirror(people([1]))
    mapping = await the_mapping(sync)
    sync.iterable.settings.update({"limits": {"bulk": {"count": 1, "seconds": 3}}})
    run_id = await sync.submit(sync.mirror_file(people(range(1, 2500))), approved=True)
    running = asyncio.create_task(worker.start(sync.engine, run_id))
    await until(lambda: _is_sending(sync))
    await freeze(sync.engine, Scope(mapping.id), until=time.time() + 3600, **BY)

    await running

    waiting = await sync.outcome(run_id)
    assert waiting.run.phase is RunPhase.FROZEN
    assert 0 < waiting.run.counters.added < 2498
    sync.iterable.settings.update({"limits": {"bulk": 0}})
    await unfreeze(sync.engine, Scope(mapping.id), **BY)
    await work_until(sync, run_id, RunStatus.SUCCEEDED)
    assert len(sync.emails()) == 2499


async def _is_sending(sync: Sync) -> bool:
    return len(sync.emails()) > 1


def schedule(iterable: Running, minutes: float, *list_ids: int, suppresses: int | None = None) -> int:
    """Schedule a campaign, and return its id."""
    start_at = iterable.state.now_ms() + int(minutes * 60_000)
    suppressed = [suppresses] if suppresses is not None else []
    return iterable.state.add_campaign("Spring launch", list_ids, start_at=start_at, suppression_list_ids=suppressed).id


async def test_campaigns_of_a_list_are_known_after_a_plan(sync: Sync) -> None:
    """Planning reads the campaigns that are due, and keeps those of lists that are synced."""
    schedule(sync.iterable, 60, LIST)
    schedule(sync.iterable, 30, OTHER_LIST, suppresses=LIST)
    await sync.mirror(people([1]))

    async with sync.engine.database.read() as db:
        first, second = await campaigns.of_list(db, 1, LIST)
        others = await campaigns.of_list(db, 1, OTHER_LIST)

    assert (first.is_suppression, second.is_suppression, others) == (True, False, [])
    assert second.state == "Scheduled"


async def test_a_campaign_freezes_until_it_was_sent(sync: Sync) -> None:
    """From some minutes before a campaign until it has been sent, runs wait."""
    await sync.mirror(people([1]))
    mapping = await the_mapping(sync)
    await set_campaign_freeze(sync.engine, mapping.id, 30, **BY)
    schedule(sync.iterable, 60, LIST)
    assert (await sync.mirror(people([1, 2]))).run.status is RunStatus.SUCCEEDED
    campaign_id = schedule(sync.iterable, 15, LIST)
    sync.engine.campaigns_read.clear()

    waiting = await sync.mirror(people([3]))

    assert waiting.run.phase is RunPhase.FROZEN
    async with sync.engine.database.read() as db:
        current = await freezes.of_mapping(db, mapping.id)
    assert current is not None
    assert (current.campaign, current.until) == ("Spring launch", None)
    assert current.latest is not None
    assert round((current.latest - time.time()) / 3600) == 24
    sync.iterable.state.campaigns[campaign_id].state = "Finished"
    await campaign_reader.refresh_due_campaigns(sync.engine)
    await work_until(sync, waiting.run.id, RunStatus.SUCCEEDED)
    assert sync.emails() == addresses([3])


async def test_a_campaign_is_scheduled_during_the_approval(sync: Sync) -> None:
    """Campaigns are read again before a run sends that was approved after a while."""
    await sync.mirror(people([1]))
    await set_campaign_freeze(sync.engine, (await the_mapping(sync)).id, 30, **BY)
    waiting = await sync.mirror([])
    assert waiting.run.status is RunStatus.NEEDS_APPROVAL
    schedule(sync.iterable, 15, LIST)
    sync.engine.campaigns_read.clear()

    approved = await sync.approve(waiting.run.id)

    assert approved.run.phase is RunPhase.FROZEN
    assert sync.emails() == addresses([1])


@pytest.mark.extended
async def test_a_campaign_without_an_end(sync: Sync) -> None:
    """A campaign that Iterable never ends freezes for a day: from its start, or else from when it was first seen."""
    await sync.mirror(people([1]))
    mapping = await the_mapping(sync)
    await set_campaign_freeze(sync.engine, mapping.id, 30, **BY)
    yesterday = sync.iterable.state.now_ms() - 25 * 3_600_000
    sync.iterable.state.add_campaign("Endless", [LIST], start_at=yesterday, state="Running")
    assert (await sync.mirror(people([1, 2]))).run.status is RunStatus.SUCCEEDED

    sync.iterable.state.add_campaign("Unknown start", [LIST], start_at=None, state="Running")
    sync.engine.campaigns_read.clear()
    waiting = await sync.mirror(people([3]))
    assert waiting.run.phase is RunPhase.FROZEN
    async with sync.engine.database.write() as db:
        await db.execute(update(list_campaigns).values(start_at=list_campaigns.c.start_at - 25 * 3600.0))
    await work_until(sync, waiting.run.id, RunStatus.SUCCEEDED)
    sync.engine.campaigns_read.clear()
    assert (await sync.mirror(people([4]))).run.status is RunStatus.SUCCEEDED
