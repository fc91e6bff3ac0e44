"""Lists: locked by one run at a time, with a revision that shows whether a plan is stale."""

import asyncio

import pytest

from core.models.batch import Phase
from core.models.run import StopReason
from core.store import batches, connections, lists, runs
from core.store.batches import BatchStatus
from core.store.database import Database
from core.store.runs import TakenOverError
from tests.core.store.seeds import LIST, add_mapping, add_run, draft


async def test_lock_has_one_holder(database: Database) -> None:
    """A locked list can't be locked again, not even by its holder, until it is released."""
    connection_id = (await add_mapping(database)).connection_id
    async with database.write() as db:
        assert await lists.acquire(db, connection_id, LIST, "one", "me")
        assert not await lists.acquire(db, connection_id, LIST, "two", "me")
        assert not await lists.acquire(db, connection_id, LIST, "one", "me")
        assert not await lists.acquire(db, connection_id, LIST, "one", "you")
        await lists.release(db, connection_id, LIST, "you")
        assert not await lists.acquire(db, connection_id, LIST, "two", "me")
        await lists.release(db, connection_id, LIST, "me")
        assert await lists.acquire(db, connection_id, LIST, "two", "you")
        state = await lists.get(db, connection_id, LIST)
    assert state is not None
    assert (state.locked_by_run_id, state.locked_by_worker_id) == ("two", "you")


async def test_lock_under_contention(database: Database) -> None:
    """Exactly one of many concurrent attempts locks a list."""
    connection_id = (await add_mapping(database)).connection_id

    async def hold(number: int) -> bool:
        async with database.write() as db:
            return await lists.acquire(db, connection_id, LIST, f"run{number}", f"worker{number}")

    assert sum(await asyncio.gather(*map(hold, range(8)))) == 1


async def test_lock_waits_for_another_transaction(database: Database, database_url: str) -> None:
    """An attempt to lock a list waits for another transaction, and fails if that one commits."""
    connection_id = (await add_mapping(database)).connection_id
    other = Database(database_url)

    async def hold() -> bool:
        async with other.write() as db:
            return await lists.acquire(db, connection_id, LIST, "two", "you")

    try:
        async with database.write() as db:
            assert await lists.acquire(db, connection_id, LIST, "one", "me")
            second = asyncio.create_task(hold())
            done, _ = await asyncio.wait([second], timeout=0.2)
            assert not done
        assert await second is False
    finally:
        await other.close()


async def test_revisions(database: Database) -> None:
    """A change of a list's ledger bumps its revision, and a rename those of the connection's other lists."""
    mapping = await add_mapping(database)
    await add_mapping(database, mapping.connection_id, list_id=1002)

    async def revisions() -> list[int]:
        async with database.read() as db:
            states = [await lists.get(db, mapping.connection_id, list_id) for list_id in (LIST, 1002)]
        return [state.ledger_revision for state in states if state]

    async with database.write() as db:
        assert await lists.bump(db, mapping.connection_id, LIST) == 1
    assert await revisions() == [1, 0]
    async with database.write() as db:
        await lists.bump_others(db, mapping.connection_id, LIST)
    assert await revisions() == [1, 1]


async def test_renamed_list(database: Database) -> None:
    """A list that was renamed in Iterable gets the new name."""
    connection_id = (await add_mapping(database)).connection_id
    async with database.write() as db:
        await lists.rename(db, connection_id, LIST, "Ünïcode")
        state = await lists.get(db, connection_id, LIST)
    assert state is not None
    assert (state.name, state.list_created_at) == ("Ünïcode", 1_735_689_600_000)


async def test_run_guard(database: Database) -> None:
    """A run reads in one query who holds its list, whether it must stop, and whether the key is refused."""
    mapping = await add_mapping(database)
    run_id = await add_run(database, mapping)
    async with database.write() as db:
        assert await lists.check_run_guard(db, run_id) == lists.RunGuard(0, None, None, None, False)
        await lists.acquire(db, mapping.connection_id, LIST, run_id, "me")
        await lists.bump(db, mapping.connection_id, LIST)
        await runs.request_stop(db, run_id, StopReason.CANCEL)
        await connections.change(db, mapping.connection_id, key_rejected_at=1.0)
        assert await lists.check_run_guard(db, run_id) == lists.RunGuard(1, "me", run_id, StopReason.CANCEL, True)


async def test_unanswered_batches_of_other_runs(database: Database) -> None:
    """Unanswered batches of a list's other runs are found, whatever the status of those runs."""
    mapping = await add_mapping(database)
    other = await add_mapping(database, mapping.connection_id, audience="other")
    elsewhere = await add_mapping(database, mapping.connection_id, list_id=1002)
    ids = [await add_run(database, each) for each in (mapping, other, elsewhere)]
    async with database.write() as db:
        for run_id in ids:
            await batches.add_drafts(db, run_id, [draft(Phase.ADD, 1, f'["{run_id}"]'), draft(Phase.ADD, 1)])
            await batches.publish(db, run_id)
            (sent, _) = await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=2)
            await batches.set_state(db, [sent.id], BatchStatus.SENT)
        unanswered = await lists.unanswered_batches(db, mapping.connection_id, LIST, ids[0])
    assert [row[1:] for row in unanswered] == [(Phase.ADD, other.id, f'["{ids[1]}"]')]


async def test_guard_of_a_run_that_another_process_has_ended(database: Database) -> None:
    """A live run is deleted when it ends: whoever still works on it was replaced."""
    async with database.read() as db:
        with pytest.raises(TakenOverError):
            await lists.check_run_guard(db, "gone")
