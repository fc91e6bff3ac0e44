"""mParticle's messages, their delivery to the list, and decisions about the live mapping."""

import asyncio
import hashlib
import json
from dataclasses import replace
from typing import Any

from core import live
from core.connections import mapping_lifecycle
from core.firehose.schema import Request, parse
from core.live import bulk_removal, maintenance, micro_batch
from core.live.deliveries import Deliveries
from core.live.rounds import begin_round, plan_round
from core.models.run import RunStatus
from core.privacy import erasure
from core.store import live_mappings as store
from core.store import live_work
from core.store import runs as stored
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy
from sandbox.mparticle import Audience, Profile, messages
from tests.core.harness import OTHER_LIST
from tests.core.world import runs
from tests.core.world.faults import QUIET, Trouble
from tests.core.world.people import LIVE, Person
from tests.core.world.process import World

VIPS = Audience(int(LIVE), "VIPs", {"listId": str(OTHER_LIST)})
BY = "U1"
ACCOUNT_ID = 4711


def _account(world: World) -> dict[str, Any]:
    return messages.account(ACCOUNT_ID, {"apiKey": world.key, "userIdField": world.truth.setting.value})


def _read(message: dict[str, Any]) -> Request:
    return parse(json.dumps(message).encode())


async def send_changes(
    world: World, joined: set[int], left: set[int], age: int = 0, *, hashed: bool = False, keyless: bool = False
) -> None:
    """Send a message about people who joined and who left.

    `age` dates it back by this many messages. Identities may be hashed, and mpids missing (`keyless`).
    """
    truth = world.truth
    changes = [("add", number) for number in sorted(joined)] + [("delete", n) for n in sorted(left - joined)]
    stamp = truth.late(age)
    profile_changes = [(action, replace(truth.people[number], hashed=hashed)) for action, number in changes]
    for action, person in profile_changes:
        is_member = action == "add"
        if truth.live.receive(person, stamp, is_member=is_member, is_late=age > 0, keyless=keyless):
            (truth.audiences[LIVE].add if is_member else truth.audiences[LIVE].discard)(person.mpid)
    truth.remember(LIVE, [person for _, person in profile_changes])
    if keyless:
        truth.keyless.add(LIVE)
    profiles = [(action, _profile(person, keyless=keyless)) for action, person in profile_changes]
    message = _read(messages.membership(_account(world), VIPS, profiles, at=stamp))
    world.sent.append(message)
    await world.intake.handle(message)


def _profile(person: Person, *, keyless: bool) -> Profile:
    email, customer_id = person.email, person.customer_id
    if person.hashed:
        email, customer_id = (value and hashlib.md5(value.encode()).hexdigest() for value in (email, customer_id))
    return Profile(None if keyless else person.mpid, email, customer_id, "md5" if person.hashed else "raw")


async def repeat(world: World, nth: int) -> None:
    """Send a message again."""
    if world.sent:
        await world.intake.handle(world.sent[nth % len(world.sent)])


async def subscribe(world: World, action: str) -> None:
    """Connect (`add`) or disconnect (`remove`) the audience."""
    message = messages.subscription(_account(world), VIPS, action, at=world.truth.now())
    await world.intake.handle(_read(message))


async def deliver(world: World, trouble: Trouble = QUIET) -> bool:
    """Deliver pending changes, or resume an open run, as the live worker does. Returns False if there are none."""
    mapping = await world.mapping(LIVE)
    if mapping is None or await _remove_members(world, mapping):
        return mapping is not None
    async with world.engine.database.read() as db:
        open_runs = await store.unended(db, mapping.id)
    if not open_runs:
        return await deliver_in_a_round(world, mapping, trouble) or await _deliver_alone(world, mapping, trouble)
    (run,) = open_runs
    if run.status in (RunStatus.SUCCEEDED, RunStatus.CANCELLED):
        await micro_batch.finalize(world.engine, run.id)
        return True
    if not micro_batch.can_deliver(mapping):
        return False
    async with world.engine.database.write() as db:
        assert await stored.reopen(db, run, world.engine.presence.id) is not None
    await _execute(world, run.id, trouble)
    return True


async def _remove_members(world: World, mapping: AudienceMapping) -> bool:
    """Queue the removal of all members, if a person has decided so. Returns whether that was the case."""
    if mapping.bulk_removal_cursor is None or mapping.status is not MappingStatus.ACTIVE:
        return False
    await bulk_removal.run_bulk_removal(world.engine, mapping.id)
    world.truth.live.forget_stamps()
    world.truth.live.reset({})
    await runs.lose_track(world)
    return True


async def _deliver_alone(world: World, mapping: AudienceMapping, trouble: Trouble) -> bool:
    """Deliver pending changes whatever is unusual. Returns False if there are none."""
    run_id = await micro_batch.create_micro_batch(world.engine, mapping)
    if run_id is None:
        return False
    await _execute(world, run_id, trouble)
    return True


async def deliver_in_a_round(world: World, mapping: AudienceMapping, trouble: Trouble) -> bool:
    """Deliver pending changes as the live worker does if there is nothing unusual. Returns False if there is."""
    async with world.engine.database.read() as db:
        works = await live_work.pending(db, 0.0, 1)
        plan = await plan_round(world.engine, db, [work for work in works if work.mapping.id == mapping.id])
    begun = await begin_round(world.engine, plan)
    for delivery in begun.deliveries:
        await runs.lose_track(world)
        deliveries = Deliveries(world.engine)
        try:
            await world.disturbed(deliveries.deliver(delivery), trouble, delivery.run.id)
        finally:
            await deliveries.close()
    return bool(begun.deliveries)


async def _execute(world: World, run_id: str, trouble: Trouble) -> None:
    await runs.lose_track(world)
    work = micro_batch.execute(world.engine, run_id)
    await world.disturbed(work, trouble, run_id)


async def deliver_all(world: World) -> None:
    """Deliver without faults until no deliverable change is left."""
    for _ in range(20):
        if not await deliver(world):
            return
    raise AssertionError("the delivery of live changes never ends")


async def maintain(world: World) -> None:
    """Run the live worker's maintenance."""
    await maintenance.run_maintenance(world.engine)


async def decide(world: World, decision: str) -> None:
    """Make a decision about the live mapping."""
    mapping, truth = await world.mapping(LIVE), world.truth
    if mapping is None:
        return
    if decision == "drop":
        truth.live.forget_stamps()
        await live.drop_waiting(world.engine, mapping.id, by=BY)
    elif decision == "approve removals":
        await live.approve_removals(world.engine, mapping.id, by=BY)
    elif decision == "keep":
        await live.keep_members(world.engine, mapping.id, by=BY)
    elif decision == "remove":
        if await live.remove_members(world.engine, mapping.id, by=BY):
            assert mapping.disconnected_at is not None
            truth.set_removals(LIVE, RemovalPolicy.REMOVE)
            truth.live.forget_stamps()
        else:
            assert mapping.disconnected_at is None or mapping.status is MappingStatus.ACTIVE


async def race(world: World, action: str) -> None:
    """Drop the pending changes at the same moment as another decision or a delivery."""
    mapping = await world.mapping(LIVE)
    if mapping is None:
        return
    other = deliver(world) if action == "deliver" else decide(world, action)
    await asyncio.gather(decide(world, "drop"), other)
    world.truth.live.forget_stamps()


async def make_active(world: World) -> None:
    """Release all pending changes of the live mapping, whatever was decided before, and reconnect its audience."""
    mapping = await world.mapping(LIVE)
    if mapping is None:
        return
    if mapping.disconnected_at is not None and mapping.status is MappingStatus.PAUSED:
        await subscribe(world, "add")
    elif mapping.status is MappingStatus.PAUSED:
        assert await mapping_lifecycle.resume(world.engine, mapping.id, by=BY, team_id=None)
    if world.truth.removals.get(LIVE) is RemovalPolicy.ASK:
        await live.approve_removals(world.engine, mapping.id, by=BY)


async def erase(world: World, number: int, by: str) -> None:
    """Send an erasure request for a person."""
    person = world.truth.people[number]
    identities = {"mpid": str(person.mpid), "email": person.email, "customer_id": person.customer_id}
    if not identities[by] or await world.mapping(LIVE) is None:  # mParticle has no connection to us
        return
    world.truth.forget(person, by)
    message = messages.erasure(_account(world), {by: str(identities[by])}, at=world.truth.now())
    await world.intake.handle(_read(message))
    await erasure.carry_out_all(world.engine)
