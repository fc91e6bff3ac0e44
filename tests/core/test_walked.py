"""What walks of the state machine have found, each in the fewest steps that show it."""

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
from core.store import runs as stored
from tests.core.databases import sampled
from tests.core.harness import until
from tests.core.storage import somebody_waits
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
    """A world as the state machine has it, with the User ID setting customerId and runs in hand."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 2)
    monkeypatch.setattr(cancellation, "LOOK_AGAIN_S", 0.02)
    if request.param == "sqlite":
        opened = World(tmp_path, Sqlite(tmp_path / "database"), UserIdField.CUSTOMER_ID, MEDDLERS)
    else:
        server = request.getfixturevalue("postgresql_server")
        opened = World(tmp_path, Postgresql(server), UserIdField.CUSTOMER_ID, MEDDLERS)
    await opened.open()
    await decisions.propose_second(opened)
    yield opened
    await opened.close()


async def test_members_in_hand_when_their_audience_is_emptied(world: World) -> None:
    """Whom a run has in hand that stopped, when a person says that all are to be taken off, is not put on later."""
    await mparticle.tell(world, set(PEOPLE), set())
    await mparticle.carry(world, Trouble(what="stop", nth=1))
    await mparticle.subscribe(world, "remove")
    await mparticle.decide(world, "remove")
    await checks.settle(world)


async def test_key_replaced_while_a_run_has_the_old_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is refused because it began with the key before says nothing about the one that is there now."""
    send = IterableClient.subscribe

    async def rotate_first(client: IterableClient, *given: Any) -> Any:
        monkeypatch.setattr(IterableClient, "subscribe", send)
        await decisions.rotate(world)
        return await client.subscribe(*given)

    monkeypatch.setattr(IterableClient, "subscribe", rotate_first)
    world.truth.audiences[FIRST] = {1}
    this = await runs.sync(world, runs.write(world, FIRST), SyncMode.MIRROR, asks=False)
    assert this is not None
    assert (this.status, this.error_code) == (RunStatus.FAILED, InvalidApiKeyError.code)
    await checks.check(world)
    await runs.retry(world, this.id)
    await checks.settle(world)


async def test_customer_id_that_another_mapping_does_not_have_yet(world: World) -> None:
    """Who is on the list for one mapping, and gets another customer id, has it when another mapping takes over."""
    world.truth.audiences[FIRST] = {1}
    await checks.quiet_mirror(world, FIRST)
    await decisions.make_active(world, SECOND)
    world.truth.people[1] = replace(world.truth.people[1], customer_id="d1")
    world.truth.audiences |= {FIRST: set(), SECOND: {1}}
    await checks.quiet_mirror(world, SECOND)
    await checks.settle(world)
    await checks.check_user_ids(world, [FIRST, SECOND])


async def test_retried_member_of_whom_there_is_only_a_hash(world: World) -> None:
    """Who has an address that is told only by its hash is not put on the list as somebody without one."""
    await decisions.change_setting(world)
    assert world.truth.setting is UserIdField.MPID
    await mparticle.tell(world, {1, 4}, set(), hashed=True)
    await mparticle.carry(world)
    (day,) = await world.runs()
    assert day.counters.rejected == 2
    await runs.retry_rejected(world, day.id)
    assert (await world.runs())[-1].id != day.id
    assert world.emails(LISTS[LIVE]) == {STRANGER}
    await checks.settle(world)


async def test_retried_member_who_has_been_synced_since(world: World) -> None:
    """Who was refused under one address and is on the list under another by now stays when the refused are retried.

    What is retried is of an older audience than the one that was synced last, so a person approves it.
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


async def test_run_that_is_cancelled_when_it_is_taken_up(world: World) -> None:
    """Who cancels a run at the moment at which a worker takes it is not told that nothing will be sent."""
    run_id = await runs.queue(world, runs.write(world, SECOND), SyncMode.MIRROR, asks=True)
    assert run_id is not None
    async with world.engine.database.write() as db:
        assert await stored.claim(db, await world.run(run_id), world.engine.presence.id)
        cancelling = asyncio.create_task(commands.cancel(world.engine, run_id, by="U1", team_id=None))
        if not world.engine.database.is_sqlite:  # where it waits before it begins to write
            await until(lambda: somebody_waits(world.engine.database))
    assert not await cancelling
    assert (await world.run(run_id)).stop_requested == "cancel"
    await runs.carry_out(world, run_id)
    assert (await world.run(run_id)).status is RunStatus.CANCELLED


async def test_leaver_of_whom_there_is_only_an_mpid(world: World) -> None:
    """An mpid alone does not take an address off the list that somebody else's message has put there since.

    Iterable knows the mpid at that address, from when the member was on the list under both.
    """
    await decisions.change_setting(world)
    for joined, left, kind in (({4}, set(), ""), ({1}, {4}, ""), ({4}, set(), "keyless"), ({1}, {4}, "hashed")):
        await mparticle.tell(world, joined, left, hashed=kind == "hashed", keyless=kind == "keyless")
        await mparticle.carry(world)
        await checks.check(world)
    assert world.emails(LISTS[LIVE]) >= {world.truth.people[4].email}


async def test_leaver_of_whom_another_list_knows_the_address(world: World) -> None:
    """An mpid alone does not take an address off a list that another list's mapping knows with that mpid."""
    await decisions.change_setting(world)
    world.truth.audiences[FIRST] = {4}
    await checks.quiet_mirror(world, FIRST)
    for joined, left, kind in (({4}, set(), "keyless"), ({1}, {4}, "hashed")):
        await mparticle.tell(world, joined, left, hashed=kind == "hashed", keyless=kind == "keyless")
        await mparticle.carry(world)
        await checks.check(world)
    assert world.emails(LISTS[LIVE]) >= {world.truth.people[4].email}
