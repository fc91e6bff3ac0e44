"""Undo: a run's changes are reverted, and nothing else."""

import contextlib
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConflictError, InputError
from core.identity import UserIdField
from core.models.run import GuardName
from core.planning import batching
from core.runs import worker
from core.runs.undo import undo
from core.store import mappings, runs
from core.store.mappings import MappingStatus
from core.store.tables import batches as batches_table
from sandbox.iterable import Fault
from tests.core.harness import LIST, QUICK, WALKS, Member, Outcome, RunStatus, Sync, people, person, syncing


@pytest.fixture
async def sync(tmp_path: Path, database_url: str) -> AsyncIterator[Sync]:
    """An engine on each kind of database that gives up after a moment."""
    async with syncing(tmp_path, database_url, QUICK) as opened:
        yield opened


async def request_undo(sync: Sync, run_id: str) -> Outcome:
    """Request an undo and plan it, so that it needs approval."""
    undo_id = await undo(sync.engine, run_id, by="U1", team_id=None, channel="C1")
    await worker.start(sync.engine, undo_id)
    outcome = await sync.outcome(undo_id)
    assert outcome.run.status is RunStatus.NEEDS_APPROVAL, outcome.run.error
    assert outcome.run.plan is not None
    assert [guard.name for guard in outcome.run.plan.guards] == [GuardName.UNDO]
    return outcome


async def approve(sync: Sync, waiting: Outcome) -> Outcome:
    """Approve an undo and execute it."""
    outcome = await sync.approve(waiting.run.id)
    assert outcome.run.status is RunStatus.SUCCEEDED, outcome.run.error
    assert outcome.run.counters.missing == 0
    return outcome


async def undo_fully(sync: Sync, outcome: Outcome) -> Outcome:
    """Undo a run, with approval."""
    return await approve(sync, await request_undo(sync, outcome.run.id))


def members(sync: Sync) -> set[tuple[str | None, str | None]]:
    """The email and user id of each subscriber on the list."""
    return set(sync.iterable.state.members(LIST))


async def test_all_changes_are_reverted(sync: Sync) -> None:
    """An undo restores the list: added, removed and updated members alike."""
    await sync.mirror(people(range(10)))
    before = members(sync)
    outcome = await sync.mirror([*people(range(3, 9)), person(9, email="new@example.com"), *people(range(20, 25))])
    assert outcome.counts == {"members": 12, "left": 3, "added": 5, "updated": 1, "removed": 3, "unchanged": 6}
    waiting = await request_undo(sync, outcome.run.id)
    assert members(sync) != before
    assert (waiting.run.undo_of, waiting.run.started_by, waiting.run.channel) == (outcome.run.id, "U1", "C1")
    assert (await approve(sync, waiting)).counts == {"members": 4, "left": 5, "added": 3, "updated": 1, "removed": 5}
    assert members(sync) == before
    assert (await sync.mirror(people(range(10)))).run.requests == 0


async def test_undo_is_undone(sync: Sync) -> None:
    """The undo of an undo repeats the run's changes."""
    await sync.mirror(people(range(4)))
    outcome = await sync.mirror([person(2), person(3, email="new@example.com"), person(7)])
    after = members(sync)
    reverted = await undo_fully(sync, outcome)
    assert members(sync) != after
    await undo_fully(sync, reverted)
    assert members(sync) == after


@pytest.mark.extended
async def test_other_user_id_setting(sync: Sync) -> None:
    """An undo restores the former user id of updated members."""
    await sync.mirror(people(range(1, 4)))
    before = members(sync)
    outcome = await sync.mirror(people(range(1, 5)), user_id=UserIdField.MPID)
    assert outcome.counts == {"members": 4, "added": 1, "updated": 3}
    assert (await undo_fully(sync, outcome)).counts == {"members": 3, "left": 1, "updated": 3, "removed": 1}
    assert members(sync) == before


@pytest.mark.extended
async def test_placeholders_come_back(sync: Sync) -> None:
    """An undo restores a placeholder that a run renamed to a real address."""
    await sync.mirror([Member(7), Member(8), person(9)], user_id=UserIdField.MPID)
    before = members(sync)
    outcome = await sync.mirror([Member(7, "seven@example.com"), Member(8), Member(9)], user_id=UserIdField.MPID)
    assert outcome.counts == {"members": 3, "updated": 2, "unchanged": 1}
    await undo_fully(sync, outcome)
    assert members(sync) == before


@pytest.mark.extended
async def test_shared_subscribers(sync: Sync) -> None:
    """Members that share a subscriber return together, and leave together."""
    await sync.mirror([person(1), person(2, email="p1@example.com"), person(3)])
    before = members(sync)
    outcome = await sync.mirror([person(3), person(4), person(5, email="p4@example.com")])
    plan = (await undo_fully(sync, outcome)).run.plan
    assert plan is not None
    assert plan.ledger_size == 2  # people on the list, as in the plan of a file
    assert members(sync) == before
    left = await sync.mirror([person(2, email="p1@example.com"), person(3)])
    assert (left.run.counters.left, left.run.counters.removed) == (1, 0)


@pytest.mark.extended
async def test_two_mappings_of_one_list(sync: Sync) -> None:
    """The undo of one mapping's run keeps members that another mapping has added."""
    await sync.mirror(people(range(4)), audience="first")
    before = members(sync)
    outcome = await sync.mirror(people(range(2, 8)), audience="second")
    between = await sync.mirror(people(range(6)), audience="first")
    assert between.run.counters.duplicates == 2
    assert (await undo_fully(sync, outcome)).counts == {"left": 6, "removed": 2, "duplicates": 4}
    assert members(sync) == {(f"p{n}@example.com", f"c{n}") for n in range(6)}
    await sync.mirror(people(range(4)), audience="first")
    assert members(sync) == before


@pytest.mark.extended
async def test_later_changes_stay(sync: Sync) -> None:
    """An undo skips members that a later run changed, and counts them as unchanged."""
    await sync.mirror(people(range(5)))
    outcome = await sync.mirror([*people(range(2, 5)), *people(range(10, 14))])
    await sync.delta(joined=[person(0), person(11, email="eleven@example.com")], left=[person(10)])
    assert (await undo_fully(sync, outcome)).counts == {
        "members": 4, "left": 2, "added": 1, "removed": 2, "unchanged": 3
    }  # fmt: skip
    assert sync.emails() == {*(f"p{n}@example.com" for n in range(5)), "eleven@example.com"}


async def test_changes_before_the_approval_stay(sync: Sync) -> None:
    """An undo skips changes of a run between its plan and its approval, and does not delay that run."""
    await sync.mirror(people(range(3)))
    outcome = await sync.mirror([*people(range(1, 3)), *people(range(10, 14))])
    waiting = await request_undo(sync, outcome.run.id)
    between = await sync.delta(joined=[person(0), person(11, email="eleven@example.com")], left=[person(10)])
    assert between.run.status is RunStatus.SUCCEEDED
    assert (await approve(sync, waiting)).counts == {"members": 1, "left": 4, "removed": 2, "unchanged": 3}
    assert sync.emails() == {*(f"p{n}@example.com" for n in range(3)), "eleven@example.com"}


@pytest.mark.extended
async def test_undo_of_a_partial_run(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """The undo of a run that failed halfway reverts its changes, and the run can't be resumed."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 2)
    await sync.mirror(people(range(10)))
    before = members(sync)
    sync.iterable.faults.set([Fault("error", path="/api/lists/subscribe", after=2, status=503)])
    outcome = await sync.mirror([*people(range(4, 8)), person(8, email="new@example.com"), *people(range(20, 30))])
    assert outcome.run.status is RunStatus.FAILED
    sync.iterable.faults.clear()
    assert members(sync) != before
    await undo_fully(sync, outcome)
    assert members(sync) == before
    assert (await sync.outcome(outcome.run.id)).run.status is RunStatus.CANCELLED


@pytest.mark.extended
async def test_lost_answers(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """An undo also reverts changes whose answer was lost."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 2)
    await sync.mirror(people(range(6)))
    before = members(sync)
    sync.iterable.faults.set([Fault("reset", path="/api/lists/", probability=1.0, applied=True)])
    outcome = await sync.mirror([*people(range(3, 6)), person(9)])
    assert outcome.run.status is RunStatus.FAILED
    sync.iterable.faults.clear()
    await undo_fully(sync, outcome)
    assert members(sync) == before


@pytest.mark.extended
async def test_rejected_update(sync: Sync) -> None:
    """An undo restores the former address of a member whose new address Iterable refused."""
    await sync.mirror(people(range(3)))
    before = members(sync)
    outcome = await sync.mirror([person(0), person(1), person(2, email="a@forgotten.test"), person(3, email="no")])
    assert outcome.run.counters.rejected == 2
    assert members(sync) != before
    await undo_fully(sync, outcome)
    assert members(sync) == before


@pytest.mark.extended
async def test_unknown_leavers_are_not_added(sync: Sync) -> None:
    """An undo does not add a leaver that was never synced, because it may not have been on the list."""
    await sync.mirror(people(range(3)))
    outcome = await sync.delta(joined=[person(5)], left=[person(0), person(99)])
    assert (await undo_fully(sync, outcome)).counts == {
        "members": 2,
        "left": 1,
        "added": 1,
        "removed": 1,
        "unchanged": 1,
    }
    assert sync.emails() == {f"p{n}@example.com" for n in range(3)}


@pytest.mark.extended
async def test_members_without_mpids(sync: Sync) -> None:
    """The undo of a source without mpids changes no member with another key."""
    await sync.mirror([person(1)])
    path = sync.directory / "stream.csv"
    path.write_text("customerid,email,isadd\nc1,new@example.com,true\nc2,p2@example.com,true\n")
    before = members(sync)
    outcome = await sync.run(path)
    assert outcome.counts == {"members": 2, "added": 1, "updated": 1}
    await undo_fully(sync, outcome)
    assert members(sync) == before


async def test_repeated_request_is_one_undo(sync: Sync) -> None:
    """Requesting the same undo twice gives the same run."""
    await sync.mirror(people(range(3)))
    outcome = await sync.mirror(people(range(4)))
    first = await undo(sync.engine, outcome.run.id, by="U1", channel=None, team_id=None)
    assert await undo(sync.engine, outcome.run.id, by="U1", channel=None, team_id=None) == first


async def test_impossible_undo(sync: Sync) -> None:
    """An impossible undo fails with the reason: unknown run, no changes, not ended, too old, or paused."""
    await sync.mirror(people(range(3)))

    async def assert_refused(run_id: str, sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            await undo(sync.engine, run_id, by="U1", channel=None, team_id=None)

    await assert_refused("nosuchrun", "There is no run")
    await assert_refused((await sync.mirror(people(range(3)))).run.id, "changed nothing")
    await assert_refused((await sync.mirror(people(range(9)), dry_run=True)).run.id, "changed nothing")
    await assert_refused(await sync.submit(sync.mirror_file([person(1)])), "has not ended")
    outcome = await sync.mirror(people(range(5)))
    async with sync.engine.database.write() as db:
        await runs.change(db, outcome.run.id, finished_at=time.time() - 31 * 24 * 3600)
    await assert_refused(outcome.run.id, "no longer kept")
    async with sync.engine.database.write() as db:
        await runs.change(db, outcome.run.id, finished_at=time.time())
        await db.execute(batches_table.delete().where(batches_table.c.run_id == outcome.run.id))
    await assert_refused(outcome.run.id, "no longer kept")
    async with sync.engine.database.write() as db:
        await mappings.change(db, outcome.run.mapping_id, status=MappingStatus.PAUSED)
    other = await sync.mirror(people(range(7)), audience="other")
    async with sync.engine.database.write() as db:
        await mappings.change(db, other.run.mapping_id, status=MappingStatus.PAUSED)
    await assert_refused(other.run.id, "is paused")


@pytest.mark.extended
@pytest.mark.parametrize("field", list(UserIdField))
@pytest.mark.parametrize("seed", range(WALKS))
async def test_undo_of_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: UserIdField, seed: int) -> None:
    """An undo restores the list after any run, complete or not."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 2)
    generator = random.Random(f"{field}:{seed}")

    def random_member(number: int) -> Member:
        addresses: list[Any] = [f"e{n}@example.com" for n in range(14)]
        return Member(number, generator.choice([*addresses, None]), generator.choice([f"c{number}", None]))

    async with syncing(tmp_path, None, QUICK) as sync:
        for _ in range(4):
            for audience in generator.sample(["first", "second"], 2):
                present = [random_member(n) for n in generator.sample(range(16), 9)]
                await sync.mirror(present, audience=audience, user_id=field, approved=True)
            before = {email for email, _ in members(sync)}
            present = [random_member(n) for n in generator.sample(range(16), 9)]
            audience = generator.choice(["first", "second"])
            run_id = await sync.submit(
                sync.mirror_file(present, audience), audience=audience, user_id=field, approved=True
            )
            if generator.random() < 0.5:
                sync.iterable.faults.set([Fault("error", after=generator.randint(0, 4), status=503)])
            await worker.start(sync.engine, run_id)
            sync.iterable.faults.clear()
            outcome = await sync.outcome(run_id)
            with contextlib.suppress(ConflictError):  # a run that changed nothing can't be undone
                await undo_fully(sync, outcome)
            assert {email for email, _ in members(sync)} == before
