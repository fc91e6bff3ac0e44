"""Times that are stored come from the database's clock, whatever the clocks of the processes show."""

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


async def test_the_clock_of_all(database: Database) -> None:
    """It is the time, to a moment, on both databases."""
    async with database.read() as db:
        assert abs(await clock.now(db) - time.time()) < 60


async def test_machines_with_other_clocks(
    postgresql_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that one machine queues and another one executes, whose clock is two hours behind, ends after it began."""
    url = new_postgresql(postgresql_server)
    right = time.time
    async with syncing(tmp_path, url) as sync:
        monkeypatch.setattr(time, "time", lambda: right() + HOUR)
        run_id = await sync.submit(sync.mirror_file(people(range(3))), approved=True)
        monkeypatch.setattr(time, "time", lambda: right() - HOUR)
        await worker.start(run_id)
        outcome = await sync.outcome(run_id)
        monkeypatch.undo()
        run = outcome.run
        assert run.status is RunStatus.SUCCEEDED
        assert run.started_at is not None
        assert run.finished_at is not None
        assert right() - 60 < run.created_at <= run.started_at <= run.finished_at < right() + 60
    without(postgresql_server, url)
