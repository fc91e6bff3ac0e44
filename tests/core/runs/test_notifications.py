"""On PostgreSQL, a worker starts a run at once that another process has queued."""

from pathlib import Path

import pytest
from sqlalchemy import text

from core.runs import worker
from core.store import job_queue
from tests.core.databases import new_postgresql, without
from tests.core.harness import Sync, syncing, until
from tests.core.test_storage_worker import queued, wait_until_done, working

_LISTENING = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"


async def listens(sync: Sync) -> bool:
    """Return whether a process listens for queued runs."""
    async with sync.engine.database.read() as db:
        return (await db.execute(text(f"SELECT 1 {_LISTENING}"))).first() is not None


async def test_queued_run_wakes_the_worker(
    tmp_path: Path, postgresql_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker does not wait for the next poll, also after the connection of its listener broke."""
    for interval in ("POLL_INTERVAL_S", "RESCUE_INTERVAL_S"):
        monkeypatch.setattr(worker, interval, 600.0)
    monkeypatch.setattr(job_queue, "LISTEN_AGAIN_S", 0.05)
    url = new_postgresql(postgresql_server)
    async with syncing(tmp_path, url) as sync, working(sync):
        await until(lambda: listens(sync))
        await wait_until_done(sync, await queued(sync))
        async with sync.engine.database.write() as db:
            await db.execute(text(f"SELECT pg_terminate_backend(pid) {_LISTENING}"))
        await until(lambda: listens(sync))
        await wait_until_done(sync, await queued(sync))
    without(postgresql_server, url)
