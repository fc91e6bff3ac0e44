"""The database fails under a worker, so that not even a failure can be recorded: later it goes on."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from core import lease
from core.live import worker as live_working
from core.planning import batching
from core.runs import worker
from core.store import database as database_module
from core.store import lists
from core.store.tables import runs as runs_table
from tests.core.databases import new_postgresql, without
from tests.core.harness import LIST, QUICK, Sync, people, syncing, until
from tests.core.storage import at_requests, lock_of, once
from tests.core.test_storage_postgresql import set_read_only
from tests.firehosing import VIPS, firehosing, person


@contextlib.asynccontextmanager
async def working(sync: Sync) -> AsyncIterator[asyncio.Task[None]]:
    """A worker for the length of the block."""
    task = asyncio.create_task(worker.run_worker(sync.engine))
    try:
        yield task
    finally:
        sync.engine.stopping.set()
        await task


async def queued(sync: Sync) -> str:
    """A run that is nobody's yet."""
    run_id = await sync.submit(sync.mirror_file(people(range(30))))
    async with sync.engine.database.write() as db:
        await db.execute(update(runs_table).values(worker_id=None))
    return run_id


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long, and a request carries ten members."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 10)
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.1)
    monkeypatch.setattr(worker, "POLL_INTERVAL_S", 0.05)
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(live_working, "RETRY_S", 0.05)


def said(caplog: pytest.LogCaptureFixture, words: str) -> Callable[[], Awaitable[bool]]:
    """Whether something was logged."""

    async def found() -> bool:
        return any(words in record.getMessage() for record in caplog.records)

    return found


async def is_done(sync: Sync, run_id: str) -> None:
    """Wait until a run has succeeded and its list is given back."""

    async def found() -> bool:
        async with sync.engine.database.read() as db:
            state = await lists.get(db, 1, LIST)
        return (
            (await sync.outcome(run_id)).run.status == "succeeded"
            and state is not None
            and not state.locked_by_worker_id
        )

    await until(found)


async def test_locked_under_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run whose failure could not be recorded, nor its list given back, is taken up again by the same worker."""
    quick(monkeypatch)
    caplog.set_level(logging.WARNING)
    async with syncing(tmp_path, retry_policy=QUICK) as sync, lock_of(sync.engine.database) as lock:
        at_requests(monkeypatch, once(lock.begin), every=3)
        run_id = await queued(sync)
        async with working(sync) as worker:
            await until(said(caplog, "could not record the end of run"))
            assert not worker.done()
            await lock.release()
            await is_done(sync, run_id)
        assert sync.emails() == {f"p{n}@example.com" for n in range(30)}
        assert (await sync.outcome(run_id)).counts == {"members": 30, "added": 30}


async def test_read_only_under_a_worker(
    tmp_path: Path, postgresql_server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where PostgreSQL takes no changes for a while, the run waits, and so does the workflow engine."""
    quick(monkeypatch)
    caplog.set_level(logging.WARNING)
    url = new_postgresql(postgresql_server)
    async with syncing(tmp_path, url, retry_policy=QUICK) as sync:
        at_requests(monkeypatch, once(lambda: set_read_only(postgresql_server, url, "on")), every=3)
        run_id = await queued(sync)
        async with working(sync) as worker:
            await until(said(caplog, "the database is unavailable"))
            assert not worker.done()
            set_read_only(postgresql_server, url, "off")
            await is_done(sync, run_id)
        assert sync.emails() == {f"p{n}@example.com" for n in range(30)}
        assert (await sync.outcome(run_id)).counts == {"members": 30, "added": 30}
    without(postgresql_server, url)


async def test_locked_under_live_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A live run whose failure could not be recorded is taken up again by the same worker."""
    quick(monkeypatch)
    caplog.set_level(logging.WARNING)
    async with firehosing(tmp_path, firehose_approval="none") as it, lock_of(it.engine.database) as lock:
        at_requests(monkeypatch, once(lock.begin), every=3)
        await it.mparticle.add(VIPS, *map(person, range(30)))
        await until(said(caplog, "could not deliver live changes"))
        await lock.release()
        status = await it.settled()
        assert it.emails() == {f"p{n}@example.com" for n in range(30)}
        assert status.added == 30
