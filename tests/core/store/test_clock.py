"""Stored times come from the database's clock, whatever the clocks of the processes show."""

import time
from pathlib import Path

import pytest

from core.models.run import RunStatus
from core.runs import worker
from core.store import clock
from core.store.database import Database
from tests.core.databases import new_postgresql, without
from tests.core.harness import people, syncing

HOUR = 3600.0


async def test_database_time(database: Database) -> None:
    """The database's clock shows the current time, on both databases."""
    async with database.read() as db:
        assert abs(await clock.now(db) - time.time()) < 60


async def test_machines_with_other_clocks(
    postgresql_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run ends after it began, even if another machine with a late clock executes it."""
    url = new_postgresql(postgresql_server)
    true_time = time.time
    async with syncing(tmp_path, url) as sync:
        monkeypatch.setattr(time, "time", lambda: true_time() + HOUR)
        run_id = await sync.submit(sync.mirror_file(people(range(3))), approved=True)
        monkeypatch.setattr(time, "time", lambda: true_time() - HOUR)
        await worker.start(sync.engine, run_id)
        outcome = await sync.outcome(run_id)
        monkeypatch.undo()
        run = outcome.run
        assert run.status is RunStatus.SUCCEEDED
        assert run.started_at is not None
        assert run.finished_at is not None
        assert true_time() - 60 < run.created_at <= run.started_at <= run.finished_at < true_time() + 60
    without(postgresql_server, url)
