"""The database fails under a worker, so that it can't even record a failure: it continues later."""

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
    """Run a worker for the length of the block."""
    task = asyncio.create_task(worker.run_worker(sync.engine))
    try:
        yield task
    finally:
        sync.engine.stopping.set()
        await task


async def queued(sync: Sync) -> str:
    """Queue a run that no worker has claimed yet."""
    run_id = await sync.submit(sync.mirror_file(people(range(30))))
    async with sync.engine.database.write() as db:
        await db.execute(update(runs_table).values(worker_id=None))
    return run_id


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all waits short, and send ten members per request."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 10)
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.1)
    monkeypatch.setattr(worker, "POLL_INTERVAL_S", 0.05)
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(live_working, "RETRY_S", 0.05)


def was_logged(caplog: pytest.LogCaptureFixture, words: str) -> Callable[[], Awaitable[bool]]:
    """A condition that holds once a message with these words was logged."""

    async def is_logged() -> bool:
        return any(words in record.getMessage() for record in caplog.records)

    return is_logged


async def wait_until_done(sync: Sync, run_id: str) -> None:
    """Wait until a run has succeeded and its list lock is released."""

    async def is_done() -> bool:
        async with sync.engine.database.read() as db:
            state = await lists.get(db, 1, LIST)
        return (
            (await sync.outcome(run_id)).run.status == "succeeded"
            and state is not None
            and not state.locked_by_worker_id
        )

    await until(is_done)


async def test_locked_under_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker resumes a run whose failure and list lock it could not record."""
    quick(monkeypatch)
    caplog.set_level(logging.WARNING)
    async with syncing(tmp_path, retry_policy=QUICK) as sync, lock_of(sync.engine.database) as lock:
        run_id = await queued(sync)
        at_requests(monkeypatch, once(lock.begin), every=3)
        async with working(sync) as worker:
            await until(was_logged(caplog, "could not record the end of run"))
            assert not worker.done()
            await lock.release()
            await wait_until_done(sync, run_id)
        assert sync.emails() == {f"p{n}@example.com" for n in range(30)}
        assert (await sync.outcome(run_id)).counts == {"members": 30, "added": 30}


@pytest.mark.extended
async def test_read_only_under_a_worker(
    tmp_path: Path, postgresql_server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run waits while PostgreSQL refuses writes."""
    quick(monkeypatch)
    caplog.set_level(logging.WARNING)
    url = new_postgresql(postgresql_server)
    async with syncing(tmp_path, url, retry_policy=QUICK) as sync:
        run_id = await queued(sync)
        at_requests(monkeypatch, once(lambda: set_read_only(postgresql_server, url, "on")), every=3)
        async with working(sync) as worker:
            await until(was_logged(caplog, "the database is unavailable"))
            assert not worker.done()
            set_read_only(postgresql_server, url, "off")
            await wait_until_done(sync, run_id)
        assert sync.emails() == {f"p{n}@example.com" for n in range(30)}
        assert (await sync.outcome(run_id)).counts == {"members": 30, "added": 30}
    without(postgresql_server, url)


async def test_locked_under_live_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker resumes a live run whose failure it could not record."""
    quick(monkeypatch)
    caplog.set_level(logging.WARNING)
    async with firehosing(tmp_path, firehose_approval="none") as service, lock_of(service.engine.database) as lock:
        at_requests(monkeypatch, once(lock.begin), every=3)
        await service.mparticle.add(VIPS, *map(person, range(30)))
        await until(was_logged(caplog, "could not deliver live changes"))
        await lock.release()
        status = await service.settled()
        assert service.emails() == {f"p{n}@example.com" for n in range(30)}
        assert status.added == 30
