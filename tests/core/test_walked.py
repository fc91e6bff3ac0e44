"""Failures that walks of the state machine found, each in the fewest steps that show it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.identity import UserIdField
from core.iterable import InvalidApiKeyError, IterableClient
from core.models.run import RunStatus, SyncMode
from core.planning import batching
from core.runs import cancellation, commands
from core.store import runs as stored_runs
from tests.core.databases import sampled
from tests.core.harness import until
from tests.core.storage import is_lock_awaited
from tests.core.world import checks, decisions, mparticle, runs
from tests.core.world.faults import QUIET, Trouble
from tests.core.world.meddling import MEDDLERS
from tests.core.world.people import FIRST, LISTS, LIVE, PEOPLE, REFUSED, SECOND, STRANGER
from tests.core.world.process import World
from tests.core.world.storage import Postgresql, Sqlite


@pytest.fixture(params=sampled(["sqlite", "postgresql"]))
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A world like the state machine's, with the User ID setting customerId and runs that are executed directly."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 2)
    monkeypatch.setattr(cancellation, "LOOK_AGAIN_S", 0.02)
    if request.param == "sqlite":
        opened_world = World(tmp_path, Sqlite(tmp_path / "database"), UserIdField.CUSTOMER_ID, MEDDLERS)
    else:
        server = request.getfixturevalue("postgresql_server")
        opened_world = World(tmp_path, Postgresql(server), UserIdField.CUSTOMER_ID, MEDDLERS)
    await opened_world.open()
    await decisions.propose_second(opened_world)
    yield opened_world
    await opened_world.close()


@pytest.mark.extended
async def test_audience_is_removed_while_a_run_is_stopped(world: World) -> None:
    """A stopped run does not add its members after a person has decided to remove them all."""
    await mparticle.send_changes(world, set(PEOPLE), set())
    await mparticle.deliver(world, Trouble(event="stop", nth=1))
    await mparticle.subscribe(world, "remove")
    await mparticle.decide(world, "remove")
    await checks.settle(world)


@pytest.mark.extended
async def test_key_is_replaced_during_a_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is refused with the old key does not mark the new key as refused."""
    send = IterableClient.subscribe

    async def rotate_first(client: IterableClient, *arguments: Any) -> Any:
        monkeypatch.setattr(IterableClient, "subscribe", send)
        await decisions.rotate(world)
        return await client.subscribe(*arguments)

    monkeypatch.setattr(IterableClient, "subscribe", rotate_first)
    world.truth.audiences[FIRST] = {1}
    run = await runs.sync(world, runs.write(world, FIRST), SyncMode.MIRROR, asks=False)
    assert run is not None
    assert (run.status, run.error_code) == (RunStatus.FAILED, InvalidApiKeyError.code)
    await checks.check(world)
    await runs.retry(world, run.id)
    await checks.settle(world)


@pytest.mark.extended
async def test_new_customer_id_with_two_mappings(world: World) -> None:
    """A member gets the new customer id when another mapping of the list takes over."""
    world.truth.audiences[FIRST] = {1}
    await checks.quiet_mirror(world, FIRST)
    await decisions.make_active(world, SECOND)
    world.truth.people[1] = replace(world.truth.people[1], customer_id="d1")
    world.truth.audiences |= {FIRST: set(), SECOND: {1}}
    await checks.quiet_mirror(world, SECOND)
    await checks.settle(world)
    await checks.check_user_ids(world, [FIRST, SECOND])


@pytest.mark.extended
async def test_retried_member_with_a_hashed_email(world: World) -> None:
    """A retry does not add a member with only a hashed email under a placeholder."""
    await decisions.change_setting(world)
    assert world.truth.setting is UserIdField.MPID
    await mparticle.send_changes(world, {1, 4}, set(), hashed=True)
    await mparticle.deliver(world)
    (run,) = await world.runs()
    assert run.counters.rejected == 2
    await runs.retry_rejected(world, run.id)
    assert (await world.runs())[-1].id != run.id
    assert world.emails(LISTS[LIVE]) == {STRANGER}
    await checks.settle(world)


@pytest.mark.extended
async def test_retried_member_who_has_been_synced_since(world: World) -> None:
    """A member who was rejected under one address and later added under another stays when the rejected are retried.

    The retry contains an older audience than the last sync, so a person approves it.
    """
    world.truth.audiences[FIRST] = {1, 2}
    for number in (1, 2):
        world.truth.people[number] = replace(world.truth.people[number], email=REFUSED[1])
    refused = await checks.quiet_mirror(world, FIRST)
    assert refused.counters.rejected == 1
    world.truth.people[1] = person = replace(world.truth.people[1], email="corrected@example.com")
    await checks.quiet_mirror(world, FIRST)
    await runs.retry_rejected(world, refused.id)
    again = (await world.runs())[-1]
    assert (again.id != refused.id, again.status) == (True, RunStatus.NEEDS_APPROVAL)
    await runs.decide(world, again.id, QUIET, approved=True)
    assert (await world.run(again.id)).status is RunStatus.SUCCEEDED
    assert world.emails(LISTS[FIRST]) == {STRANGER, person.email}
    await checks.settle(world)


async def test_run_is_cancelled_while_it_is_claimed(world: World) -> None:
    """Cancelling a run while a worker claims it does not promise that nothing will be sent."""
    run_id = await runs.queue(world, runs.write(world, SECOND), SyncMode.MIRROR, asks=True)
    assert run_id is not None
    async with world.engine.database.write() as db:
        run = await world.run(run_id)
        assert await stored_runs.claim(db, run_id, run.attempt, world.engine.presence.id)
        cancelling = asyncio.create_task(commands.cancel(world.engine, run_id, by="U1", team_id=None))
        if not world.engine.database.is_sqlite:  # which waits before it begins to write
            await until(lambda: is_lock_awaited(world.engine.database))
    assert not await cancelling
    assert (await world.run(run_id)).stop_requested == "cancel"
    await runs.carry_out(world, run_id)
    assert (await world.run(run_id)).status is RunStatus.CANCELLED


async def test_leaver_with_only_an_mpid(world: World) -> None:
    """A removal by mpid alone does not remove an address that another member's message added later.

    Iterable knows the mpid at that address, from when the member was on the list under both.
    """
    await decisions.change_setting(world)
    for joined, left, kind in (({4}, set(), ""), ({1}, {4}, ""), ({4}, set(), "keyless"), ({1}, {4}, "hashed")):
        await mparticle.send_changes(world, joined, left, hashed=kind == "hashed", keyless=kind == "keyless")
        await mparticle.deliver(world)
        await checks.check(world)
    assert world.emails(LISTS[LIVE]) >= {world.truth.people[4].email}


async def test_leaver_with_an_address_on_another_list(world: World) -> None:
    """A removal by mpid alone does not remove an address that only another list's mapping knows."""
    await decisions.change_setting(world)
    world.truth.audiences[FIRST] = {4}
    await checks.quiet_mirror(world, FIRST)
    for joined, left, kind in (({4}, set(), "keyless"), ({1}, {4}, "hashed")):
        await mparticle.send_changes(world, joined, left, hashed=kind == "hashed", keyless=kind == "keyless")
        await mparticle.deliver(world)
        await checks.check(world)
    assert world.emails(LISTS[LIVE]) >= {world.truth.people[4].email}
