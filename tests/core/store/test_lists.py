"""Lists: held by one run at a time, with a revision that tells whether a plan is stale."""

import asyncio

from core.models.batch import Phase
from core.models.run import StopReason
from core.store import batches, connections, lists, runs
from core.store.batches import BatchStatus
from core.store.database import Database
from tests.core.store.seeds import LIST, add_mapping, add_run, draft


async def test_held_by_one_at_a_time(database: Database) -> None:
    """A list that a run holds can be had by no other, nor by the same again, until it is let go."""
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


async def test_held_by_one_of_many_who_ask_at_once(database: Database) -> None:
    """Of many who want a list at the same time exactly one gets it."""
    connection_id = (await add_mapping(database)).connection_id

    async def hold(number: int) -> bool:
        async with database.write() as db:
            return await lists.acquire(db, connection_id, LIST, f"run{number}", f"worker{number}")

    assert sum(await asyncio.gather(*map(hold, range(8)))) == 1


async def test_second_holder_waits_for_the_first_to_decide(database: Database, database_url: str) -> None:
    """Whoever asks for a list while another transaction is taking it gets it only if that one is rolled back."""
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
    """A change of a list's ledger is counted for the list, and a rename for all others of the connection."""
    mapping = await add_mapping(database)
    await add_mapping(database, mapping.connection_id, list_id=1002)

    async def revisions() -> list[int]:
        async with database.read() as db:
            found = [await lists.get(db, mapping.connection_id, list_id) for list_id in (LIST, 1002)]
        return [state.ledger_revision for state in found if state]

    async with database.write() as db:
        assert await lists.bump(db, mapping.connection_id, LIST) == 1
    assert await revisions() == [1, 0]
    async with database.write() as db:
        await lists.bump_others(db, mapping.connection_id, LIST)
    assert await revisions() == [1, 1]


async def test_renamed_list(database: Database) -> None:
    """A list that has another name in Iterable gets it here."""
    connection_id = (await add_mapping(database)).connection_id
    async with database.write() as db:
        await lists.rename(db, connection_id, LIST, "Ünïcode")
        state = await lists.get(db, connection_id, LIST)
    assert state is not None
    assert (state.name, state.list_created_at) == ("Ünïcode", 1_735_689_600_000)


async def test_grip(database: Database) -> None:
    """A run learns at once who holds its list, whether it is to stop and whether the key is refused."""
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
    """The batches that other runs of a list sent and never saw answered are found, whatever became of those runs."""
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
        found = await lists.has_unanswered_batches(db, mapping.connection_id, LIST, ids[0])
    assert [row[1:] for row in found] == [(Phase.ADD, other.id, f'["{ids[1]}"]')]
