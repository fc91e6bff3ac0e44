"""A process is paused while it sends, and another takes over its run: it sends nothing when it wakes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from core.models.batch import decode
from core.planning import batching
from core.runs import worker
from core.store import runs
from core.store.tables import batch_members, batches
from core.store.tables import runs as runs_table
from tests.core.databases import new_postgresql, without
from tests.core.harness import RunStatus, Sync, people, syncing, until
from tests.core.paused import BATCH_SIZE, TIMES, worker_process
from tests.core.storage import at_requests


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request has ten members, and workers look often for runs of dead processes."""
    monkeypatch.setattr(batching, "BATCH_SIZE", BATCH_SIZE)
    monkeypatch.setattr(worker, "RESCUE_INTERVAL_S", 0.1)
    monkeypatch.setattr(worker, "POLL_INTERVAL_S", 0.1)


async def queued(sync: Sync, path: Path, rate: float) -> str:
    """Queue a run for any worker, with this many requests per second."""
    run_id = await sync.submit(path, approved=True)
    async with sync.engine.database.write() as db:
        await runs.change(db, run_id, rate=rate)
        await db.execute(update(runs_table).where(runs_table.c.id == run_id).values(worker_id=None))
    return run_id


async def in_doubt(sync: Sync) -> set[str]:
    """The addresses in the batches that the paused process had claimed."""
    async with sync.engine.database.read() as db:
        query = select(batch_members.c.members).join(batches, batches.c.id == batch_members.c.batch_id)
        rows = await db.execute(query.where(batches.c.doubted_until.is_not(None)))
        return {email for (members,) in rows for email in decode(members).emails if email}


@contextlib.asynccontextmanager
async def working(sync: Sync) -> AsyncIterator[None]:
    """Run a worker in this process for the length of the block."""
    task = asyncio.create_task(worker.run_worker(sync.engine))
    try:
        yield
    finally:
        sync.engine.stopping.set()
        await task
        sync.engine.stopping.clear()


@pytest.mark.extended
async def test_paused_process_sends_nothing_when_it_wakes(
    postgresql_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is paused at its tenth request, and replaced, ends without sending anything when it wakes.

    Meanwhile a later run empties the list. On PostgreSQL: on SQLite, a process that is paused in a transaction blocks
    all other writers until it wakes.
    """
    url = new_postgresql(postgresql_server)
    async with syncing(tmp_path, url, times=TIMES) as sync:
        run_id = await queued(sync, sync.mirror_file(people(range(300))), rate=40.0)
        paused = asyncio.Event()
        async with worker_process(sync.engine.settings, TIMES, tmp_path / "elsewhere") as other:

            def pause() -> None:
                if not paused.is_set():
                    other.pause()
                    paused.set()

            at_requests(monkeypatch, pause, every=10)
            await asyncio.wait_for(paused.wait(), 30)
            async with working(sync):

                async def is_finished() -> bool:
                    return (await sync.outcome(run_id)).run.status is RunStatus.SUCCEEDED

                await until(is_finished)
            assert len(sync.emails()) == 300
            later = await sync.mirror(people([1]), approved=True)
            assert later.run.status is RunStatus.SUCCEEDED
            assert sync.emails() == {"p1@example.com"}
            late = await in_doubt(sync)
            assert len(late) >= BATCH_SIZE
            before = sync.iterable.state.log.total("")
            other.wake()
            assert "declared it dead" in await other.end()
            assert sync.iterable.state.log.total("") == before
        assert sync.emails() == {"p1@example.com"}
        assert (await sync.outcome(run_id)).run.status is RunStatus.SUCCEEDED
        for email in late:  # as if the kernel had delayed what the process wrote before the pause
            await sync.subscribe_by_hand(email)
        await sync.mirror(people([1]), approved=True)
        assert sync.emails() == {"p1@example.com"}
    without(postgresql_server, url)
