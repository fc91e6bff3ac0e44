"""mParticle's messages, who carries them to the list, and what people decide about the live mapping."""

import asyncio
import hashlib
import json
from dataclasses import replace
from typing import Any

from core import live, mapping_lifecycle
from core.firehose.schema import Request, parse
from core.live import bulk_removal, maintenance, micro_batch
from core.models.run import RunStatus
from core.privacy import erasure
from core.store import live_mappings as store
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


async def tell(
    world: World, joined: set[int], left: set[int], age: int = 0, *, hashed: bool = False, keyless: bool = False
) -> None:
    """mParticle says who joined and who left; `age` messages ago, perhaps by hashes only, or without mpids."""
    truth = world.truth
    changes = [("add", number) for number in sorted(joined)] + [("delete", n) for n in sorted(left - joined)]
    stamp = truth.late(age)
    told = [(action, replace(truth.people[number], hashed=hashed)) for action, number in changes]
    for action, person in told:
        joins = action == "add"
        if truth.live.tell(person, stamp, joins=joins, is_late=age > 0, keyless=keyless):
            (truth.audiences[LIVE].add if joins else truth.audiences[LIVE].discard)(person.mpid)
    truth.say(LIVE, [person for _, person in told])
    if keyless:
        truth.keyless.add(LIVE)
    profiles = [(action, _profile(person, keyless=keyless)) for action, person in told]
    message = _read(messages.membership(_account(world), VIPS, profiles, at=stamp))
    world.sent.append(message)
    await world.intake.handle(message)


def _profile(person: Person, *, keyless: bool) -> Profile:
    email, customer_id = person.email, person.customer_id
    if person.hashed:
        email, customer_id = (value and hashlib.md5(value.encode()).hexdigest() for value in (email, customer_id))
    return Profile(None if keyless else person.mpid, email, customer_id, "md5" if person.hashed else "raw")


async def repeat(world: World, nth: int) -> None:
    """mParticle sends a message again."""
    if world.sent:
        await world.intake.handle(world.sent[nth % len(world.sent)])


async def subscribe(world: World, action: str) -> None:
    """The audience is connected (`add`) or disconnected (`remove`)."""
    message = messages.subscription(_account(world), VIPS, action, at=world.truth.now())
    await world.intake.handle(_read(message))


async def carry(world: World, trouble: Trouble = QUIET) -> bool:
    """Carry what waits, or take up what was left, as the live worker does. Returns False where there is nothing."""
    mapping = await world.mapping(LIVE)
    if mapping is None or await _empty(world, mapping):
        return mapping is not None
    async with world.engine.database.read() as db:
        left = await store.unended(db, mapping.id)
    if not left:
        run_id = await micro_batch.create_micro_batch(world.engine, mapping)
        if run_id is None:
            return False
        await _execute(world, run_id, trouble)
        return True
    (this,) = left
    if this.status in (RunStatus.SUCCEEDED, RunStatus.CANCELLED):
        await micro_batch.finalize(world.engine, this.id)
        return True
    if not micro_batch.can_deliver(mapping):
        return False
    async with world.engine.database.write() as db:
        assert await stored.reopen(db, this, world.engine.presence.id) is not None
    await _execute(world, this.id, trouble)
    return True


async def _empty(world: World, mapping: AudienceMapping) -> bool:
    """Put the removal of everybody into the inbox, where somebody has decided so."""
    if mapping.bulk_removal_cursor is None or mapping.status is not MappingStatus.ACTIVE:
        return False
    await bulk_removal.run_bulk_removal(world.engine, mapping.id)
    world.truth.live.lose_stamps()
    world.truth.live.know({})
    await runs.lose_track(world)
    return True


async def _execute(world: World, run_id: str, trouble: Trouble) -> None:
    await runs.lose_track(world)
    work = micro_batch.execute(world.engine, run_id)
    await world.disturbed(work, trouble, run_id)


async def carry_all(world: World) -> None:
    """Carry in quiet until nothing waits that may go."""
    for _ in range(20):
        if not await carry(world):
            return
    raise AssertionError("live changes come to no end")


async def tend(world: World) -> None:
    """What the live worker does now and then."""
    await maintenance.run_maintenance(world.engine)


async def decide(world: World, what: str) -> None:
    """Somebody decides something about the live mapping."""
    mapping, truth = await world.mapping(LIVE), world.truth
    if mapping is None:
        return
    if what == "drop":
        truth.live.lose_stamps()
        await live.drop_waiting(world.engine, mapping.id, by=BY)
    elif what == "approve removals":
        await live.approve_removals(world.engine, mapping.id, by=BY)
    elif what == "keep":
        await live.keep_members(world.engine, mapping.id, by=BY)
    elif what == "remove":
        if await live.remove_members(world.engine, mapping.id, by=BY):
            assert mapping.disconnected_at is not None
            truth.set_removals(LIVE, RemovalPolicy.REMOVE)
            truth.live.lose_stamps()
        else:
            assert mapping.disconnected_at is None or mapping.status is MappingStatus.ACTIVE


async def race(world: World, what: str) -> None:
    """Somebody drops what waits at the same moment at which somebody else decides something, or it is carried."""
    mapping = await world.mapping(LIVE)
    if mapping is None:
        return
    other = carry(world) if what == "carry" else decide(world, what)
    await asyncio.gather(decide(world, "drop"), other)
    world.truth.live.lose_stamps()


async def make_active(world: World) -> None:
    """Whatever was decided about the live mapping: what waits for it goes out. A disconnected one is connected anew."""
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
    """mParticle says that a person is to be forgotten."""
    person = world.truth.people[number]
    named = {"mpid": str(person.mpid), "email": person.email, "customer_id": person.customer_id}
    if not named[by] or await world.mapping(LIVE) is None:  # mParticle knows of no connection
        return
    world.truth.forget(person, by)
    message = messages.erasure(_account(world), {by: str(named[by])}, at=world.truth.now())
    await world.intake.handle(_read(message))
    await erasure.carry_out_all(world.engine)
