"""Rounds: several audiences are delivered with few statements, and with the same result as one after the other."""

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from core.connections import data_fields
from core.connections.exclusions import ExclusionInput, change_exclusions
from core.identity import UserIdField
from core.live import decisions, micro_batch
from core.live.deliveries import Deliveries
from core.live.rounds import Delivery, begin_round, plan_round
from core.models.run import RunStatus, StopReason
from core.store import inbox, live_attributes, live_mappings, live_rounds, live_work, runs, tables
from core.store.inbox import Change
from core.store.mappings import AudienceMapping
from sandbox.iterable import Fault
from sandbox.mparticle import Audience
from tests.core.databases import noted_statements
from tests.core.world import checks, mparticle
from tests.core.world.faults import Trouble
from tests.core.world.people import LIVE
from tests.core.world.process import World
from tests.core.world.storage import Sqlite
from tests.firehosing import OTHER_LIST, Live, firehosing, person

AT_ONCE: dict[str, Any] = {"firehose_approval": "none", "firehose_gather_s": 0.0, "worker": False}


async def with_audiences(service: Live, count: int) -> list[AudienceMapping]:
    """Create audiences with a list and a member each, and deliver that."""
    for number in range(count):
        list_id = service.iterable.state.add_list(f"List {number}").id
        await service.mparticle.add(Audience(9000 + number, f"A{number}", {"listId": str(list_id)}), person(0))
    mappings = await service.mappings()
    for mapping in mappings:  # the first run of a mapping learns what is needed
        await deliver_alone(service, mapping)
    return mappings


async def deliver_alone(service: Live, mapping: AudienceMapping) -> None:
    """Deliver the pending changes of a mapping without a round."""
    run_id = await micro_batch.create_micro_batch(service.engine, mapping)
    assert run_id is not None
    await micro_batch.execute(service.engine, run_id)


async def begin(service: Live, mappings: Sequence[AudienceMapping]) -> list[Delivery]:
    """Begin a round with these mappings. Returns its deliveries."""
    ids = {mapping.id for mapping in mappings}
    async with service.engine.database.read() as db:
        works = [each for each in await live_work.pending(db, 0.0, 1) if each.mapping.id in ids]
        plan = await plan_round(service.engine, db, works)
    return (await begin_round(service.engine, plan)).deliveries


async def deliver(service: Live, deliveries: Sequence[Delivery]) -> None:
    """Send the deliveries of a round, and end their runs."""
    sending = Deliveries(service.engine)
    try:
        await asyncio.gather(*map(sending.deliver, deliveries))
    finally:
        await sending.close()


async def make_special(service: Live, mappings: Sequence[AudienceMapping], excluded: AudienceMapping) -> None:
    """Give mappings data fields and exclusions, the people of another mapping among these, and approve them."""
    service.iterable.state.project().data_fields["age"] = "long"
    people = ExclusionInput(["p3@example.com"], ["rival.example.com"], [], [excluded.id])
    for mapping in mappings:
        await data_fields.choose(service.engine, mapping.id, {"Plan": "plan", "age": "age"}, by="U1", team_id=None)
        await change_exclusions(service.engine, mapping.id, add=people, by="U1", team_id=None, allowed=None)
        await decisions.approve(service.engine, mapping.id, list_id=mapping.list_id, by="U1")


def attributes_of(generator: random.Random) -> dict[str, str] | None:
    """Values of data fields. A field can not take each of them."""
    values = {
        "Plan": generator.choice(["tgold", "tlead", "n", None]),
        "age": generator.choice(["t7", "t8", "tx", None]),
    }
    return {name: value for name, value in values.items() if value is not None} or None


def changes_of(generator: random.Random, mapping_id: int, *, with_fields: bool = False) -> list[Change]:
    """A few changes of people who share identities, with and without addresses, and of hashed ones."""
    return [
        Change(
            mapping_id,
            str(number),
            generator.random() < 0.6,
            time.time_ns() // 1_000_000,
            generator.choice([f"p{number}@example.com", f"P{number % 5}@example.com", None, "no address"]),
            generator.choice([f"c{number}", f"c{number % 5}", None]),
            generator.choice([0, 0, 0, 1]),
            attributes_of(generator) if with_fields else None,
        )
        for number in generator.sample(range(12), generator.randint(1, 6))
    ]


async def put(service: Live, changes: Sequence[Change]) -> None:
    """Store changes as the intake does."""
    async with service.engine.database.write() as db:
        await inbox.put(db, await live_attributes.put(db, changes, service.engine.vault))


async def state_of(service: Live, mapping: AudienceMapping) -> Any:
    """All that is stored about a mapping, without ids and times."""
    batches, members = tables.batches, tables.batch_members
    async with service.engine.database.read() as db:
        (daily,) = await runs.latest_of(db, [mapping.id], 10)
        stored = await db.execute(
            select(batches.c.phase, batches.c.status, batches.c.sent_size, batches.c.counted_size, members.c.members)
            .join_from(batches, members)
            .where(batches.c.run_id == daily.id)
            .order_by(batches.c.id)
        )
        ledger = await db.execute(select(tables.ledger).where(tables.ledger.c.mapping_id == mapping.id))
        waiting = await db.execute(select(tables.inbox).where(tables.inbox.c.mapping_id == mapping.id))
        rejected = await db.execute(select(tables.rejections).where(tables.rejections.c.run_id == daily.id))
        known = await db.execute(
            select(tables.last_known_emails.c.member_key, tables.last_known_emails.c.email).where(
                tables.last_known_emails.c.mapping_id == mapping.id
            )
        )
        of_list = (tables.lists.c.connection_id == mapping.connection_id, tables.lists.c.list_id == mapping.list_id)
        (held,) = await db.execute(
            select(tables.lists.c.locked_by_run_id, tables.lists.c.locked_by_worker_id).where(*of_list)
        )
        days = await db.execute(
            select(tables.live_daily_stats).where(tables.live_daily_stats.c.mapping_id == mapping.id)
        )
        return {
            "run": (daily.status, daily.counters, daily.retries, daily.merged, daily.request, daily.user_id_field),
            "batches": [tuple(row) for row in stored],
            "ledger": sorted(tuple(row)[1:] for row in ledger),
            "inbox": sorted(
                (row.profile, row.waiting_since, row.run_id, row.email, row.customer_id) for row in waiting
            ),
            "rejected": sorted(tuple(map(str, tuple(row)[2:])) for row in rejected),
            "last known": sorted(map(tuple, known)),
            "held": tuple(held),
            "days": [(row.changes, row.run_id == daily.id, row.last_accepted_at is not None) for row in days],
            "on the list": sorted(service.iterable.state.members(mapping.list_id), key=str),
        }


@pytest.mark.parametrize("is_special", [False, True])
async def test_rounds_do_the_same(tmp_path: Path, database_url: str, is_special: bool) -> None:
    """A round stores and sends exactly what a run of its own would, for changes of all kinds.

    Special mappings have data fields and exclusions.
    """
    async with firehosing(tmp_path, database_url, **AT_ONCE) as service:
        alone, *others, excluded = await with_audiences(service, 4)
        if is_special:
            await put(service, [Change(excluded.id, "4", True, 1, "p4@example.com")])
            await deliver_alone(service, excluded)
            await make_special(service, (alone, *others), excluded)
        rounds = 0
        for seed in range(6):
            for mapping in (alone, *others):
                await put(service, changes_of(random.Random(seed), mapping.id, with_fields=is_special))
            await deliver_alone(service, alone)
            deliveries = await begin(service, others)
            rounds += len(deliveries) > 0
            await deliver(service, deliveries)
            for mapping in others:
                if mapping.id not in {each.run.mapping_id for each in deliveries}:  # something unusual
                    await deliver_alone(service, mapping)
            expected = await state_of(service, alone)
            for mapping in others:
                assert await state_of(service, mapping) == expected, seed
        assert rounds > 3
        async with service.engine.database.read() as db:
            assert (await db.execute(select(tables.field_values))).all() == []


@pytest.mark.extended
async def test_few_statements(tmp_path: Path, database_url: str) -> None:
    """The number of statements and transactions of a round does not depend on how many audiences it has."""
    counts: dict[int, tuple[int, int]] = {}
    async with firehosing(tmp_path, database_url, **AT_ONCE) as service:
        mappings = await with_audiences(service, 8)
        async with service.engine.database.write() as db:
            await db.execute(tables.connections.update().values(requests_per_second=0))
        engine = service.engine.database.engine.sync_engine
        for size in (1, 8):
            await put(
                service, [Change(each.id, f"{size}", True, 1, f"p{size}@example.com") for each in mappings[:size]]
            )
            commits: list[str] = []

            def note_commit(_connection: Any, seen: list[str] = commits) -> None:
                seen.append("commit")

            event.listen(engine, "commit", note_commit)
            try:
                with noted_statements(service.engine.database) as statements:
                    deliveries = await begin(service, mappings[:size])
                    assert len(deliveries) == size
                    await deliver(service, deliveries)
            finally:
                event.remove(engine, "commit", note_commit)
            counts[size] = len(statements), len(commits)
    assert counts[1] <= (32, 2)
    # the answers may come in up to eight groups, with 14 statements each
    assert counts[8] <= (32 + 14 * 7, 9)


async def test_newer_change_is_not_claimed(tmp_path: Path, database_url: str) -> None:
    """If a newer change replaces one that a round has read, no run claims it, and the next round delivers it."""
    async with firehosing(tmp_path, database_url, **AT_ONCE) as service:
        (mapping,) = await with_audiences(service, 1)
        await put(service, [Change(mapping.id, number, True, 1, f"p{number}@example.com") for number in "12"])
        async with service.engine.database.read() as db:
            read = await live_rounds.waiting(db, [mapping.id], 10)
        await put(service, [Change(mapping.id, "2", True, 1, "p3@example.com")])
        async with service.engine.database.write() as db:
            assert await live_rounds.claim(db, {"a run": read}) == set()
            assert await inbox.claimed_count(db, "a run") == 0
        await deliver(service, await begin(service, [mapping]))
        assert {f"p{number}@example.com" for number in "13"} <= service.emails(mapping.list_id)


async def test_round_that_was_not_sent_is_resumed(tmp_path: Path, database_url: str) -> None:
    """If the process dies after a round has begun, its run is resumed and its batches are sent."""
    async with firehosing(tmp_path, database_url, **AT_ONCE) as service:
        (mapping,) = await with_audiences(service, 1)
        await put(service, [Change(mapping.id, "1", True, 1, "p1@example.com")])
        (delivery,) = await begin(service, [mapping])
        assert await begin(service, [mapping]) == []
        service.engine.held.clear()  # as in a new process
        async with service.engine.database.write() as db:
            (run,) = await live_mappings.unended(db, mapping.id)
            assert (run.status, run.plan, run.counters) == (RunStatus.RUNNING, delivery.run.plan, delivery.run.counters)
            await tables_freed(db, mapping)
            assert await runs.reopen(db, run, service.engine.presence.id) is not None
        await micro_batch.execute(service.engine, run.id)
        assert service.emails(mapping.list_id) == {"p0@example.com", "p1@example.com"}
        async with service.engine.database.read() as db:
            assert await live_mappings.unended(db, mapping.id) == []


async def tables_freed(db: Any, mapping: AudienceMapping) -> None:
    """Release the list, as is done when a process was declared dead."""
    of_list = (tables.lists.c.connection_id == mapping.connection_id, tables.lists.c.list_id == mapping.list_id)
    await db.execute(tables.lists.update().where(*of_list).values(locked_by_run_id=None, locked_by_worker_id=None))


@pytest.mark.parametrize("reason", [StopReason.CANCEL, StopReason.INTERRUPT])
async def test_stopped_while_it_waits(tmp_path: Path, reason: StopReason) -> None:
    """A run of a round that waits for Iterable stops when it is asked to, and its changes are delivered later."""
    async with firehosing(tmp_path, **AT_ONCE) as service:
        (mapping,) = await with_audiences(service, 1)
        await put(service, [Change(mapping.id, "1", True, 1, "p1@example.com")])
        (delivery,) = await begin(service, [mapping])
        fault = Fault(action="error", status=429, path="/api/lists/subscribe", times=1, retry_after=60)
        service.iterable.faults.add(fault)
        async with service.engine.database.write() as db:
            await runs.request_stop(db, delivery.run.id, reason)
        await deliver(service, [delivery])
        async with service.engine.database.read() as db:
            unended = await live_mappings.unended(db, mapping.id)
        assert [run.status for run in unended] == ([] if reason is StopReason.CANCEL else [RunStatus.INTERRUPTED])
        assert service.emails(mapping.list_id) == {"p0@example.com"}
        assert (await service.status(Audience(9000, "A0", {}))).backlog == 1


@pytest.mark.parametrize(
    "death",
    [*(pytest.param(death, marks=pytest.mark.extended) for death in ("crash", "crash applied")), "crash at commit"],
)
async def test_killed_at_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, death: str) -> None:
    """Whenever the process dies while it delivers a round, the next one delivers exactly what is left."""
    monkeypatch.setenv("ITERABLE_SYNC_FIREHOSE_MERGE_WINDOW_S", "0")
    for name, seconds in {"HEARTBEAT_S": 0.1, "LEASE_S": 0.5, "REQUEST_TIMEOUT_S": 0.5, "MARGIN_S": 0.1}.items():
        monkeypatch.setattr(f"core.lease.{name}", seconds)  # how long the dead process counts as alive
    for nth in (1, 2):  # a removal and an addition are sent; their end, and that of a resumed run, is committed
        world = World(tmp_path / str(nth), Sqlite(tmp_path / str(nth) / "database"), UserIdField.CUSTOMER_ID, {})
        await world.open()
        try:
            await mparticle.send_changes(world, {1, 2}, set())
            await mparticle.deliver_all(world)
            await mparticle.send_changes(world, {3}, {1})
            live_mapping = await world.mapping(LIVE)
            assert live_mapping is not None
            trouble = Trouble(chance=0.0, path="/api/", seed=0, event=death, nth=nth)
            assert await mparticle.deliver_in_a_round(world, live_mapping, trouble)
            await checks.check(world)
            await mparticle.deliver_all(world)
            await checks.check(world)
            own = {email for email in world.emails(OTHER_LIST) if email.startswith("own")}
            assert own == {f"own0-{number}@example.com" for number in (2, 3)}
            async with world.engine.database.read() as db:
                assert await live_mappings.unended(db, live_mapping.id) == []
        finally:
            await world.close()
