"""Runs that have few requests left make room for the next runs of their Iterable project."""

import asyncio
from pathlib import Path

from sqlalchemy import update

from core.delivery.ending_runs import ENDING_AT_ONCE
from core.models.run import RunPhase
from core.runs import worker
from core.store import run_queue, runs
from core.store.run_turns import RUNS_OF_PROJECT
from core.store.tables import connections as connections_table
from core.store.tables import runs as runs_table
from sandbox.iterable import Fault
from tests.core.harness import HELD_S, QUICK, RunStatus, people, syncing, until

SUBSCRIBE = "/api/lists/subscribe"


async def test_next_runs_start_while_the_last_requests_leave(tmp_path: Path, database_url: str) -> None:
    """Runs whose last requests leave take no place of their project, but only few of them at a time."""
    at_once = RUNS_OF_PROJECT + ENDING_AT_ONCE
    async with syncing(tmp_path, database_url, retry_policy=QUICK) as sync:
        file = sync.mirror_file(people(range(3)))
        lists = [sync.iterable.state.add_list(f"List {number}").id for number in range(at_once + 2)]
        ids = [await sync.submit(file, list_id=each) for each in lists]
        async with sync.engine.database.write() as db:
            await db.execute(update(connections_table).values(requests_per_second=100.0))
            await db.execute(update(runs_table).values(worker_id=None, rate=100.0))

        async def stored() -> list[tuple[RunStatus, RunPhase]]:
            async with sync.engine.database.read() as db:
                return [(run.status, run.phase) for run in (await runs.by_ids(db, ids)).values()]

        async def are_sending() -> bool:
            return [phase for _, phase in await stored()].count(RunPhase.UPLOADING) == at_once

        async def have_ended() -> bool:
            return {status for status, _ in await stored()} == {RunStatus.SUCCEEDED}

        sync.iterable.faults.set([Fault("slow", path=SUBSCRIBE, delay=HELD_S)])
        working = asyncio.create_task(worker.run_worker(sync.engine))
        await until(are_sending, 120)
        assert len(sync.engine.ending_runs.ids) == ENDING_AT_ONCE
        assert await run_queue.claim(sync.engine.database, "another", 10, sync.engine.ending_runs.ids) == []
        sync.iterable.faults.clear()
        await until(have_ended, 120)
        sync.engine.stopping.set()
        await working
    assert sync.engine.ending_runs.ids == set()
