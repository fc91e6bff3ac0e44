"""Limits that keep one workspace from delaying the others."""

from pathlib import Path

import pytest

from core.connections.manage import RATE_FLOOR, check_rate
from core.errors import ConflictError, InputError
from core.models.run import RunRequest, RunStatus
from core.runs import commands, submission
from core.store import connections, runs
from core.store.database import Database
from tests.core.harness import people, syncing
from tests.core.store.seeds import add_connection, add_mapping, add_run


@pytest.mark.parametrize("rate", [0.0, RATE_FLOOR, 5.0, 1000.0])
def test_rates(rate: float) -> None:
    """A rate is between the minimum and the maximum, or 0 for no limit."""
    assert check_rate(rate) == rate


@pytest.mark.parametrize("rate", [-1.0, 0.0001, RATE_FLOOR / 2, 1001.0])
def test_rate_below_the_floor(rate: float) -> None:
    """A rate at which a run would occupy a worker for days is refused."""
    with pytest.raises(InputError, match=r"A rate is 0\.1 to 1,000 requests a second, or 0 for no limit"):
        check_rate(rate)


async def test_queued_runs_of_a_connection(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection can have a limited number of queued runs, independent of other connections."""
    monkeypatch.setattr(submission, "MAX_QUEUED_RUNS", 2)
    one, other = await add_mapping(database), await add_mapping(database, await add_connection(database, "other"))
    for _ in range(2):
        await add_run(database, one)
    async with database.write() as db:
        connection, other_connection = (
            await connections.by_id(db, one.connection_id),
            await connections.by_id(db, other.connection_id),
        )
        assert connection is not None
        assert other_connection is not None
        with pytest.raises(InputError, match="2 runs of shop wait already"):
            await submission.enqueue(db, connection, one, RunRequest(path="a.csv"))
        await submission.enqueue(db, other_connection, other, RunRequest(path="a.csv"))


async def test_limit_applies_to_every_way_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on queued runs also applies to the command line and to a retry."""
    async with syncing(tmp_path) as sync:
        path = sync.mirror_file(people(range(2)))
        failed, waiting = await sync.submit(path), await sync.submit(path)
        async with sync.engine.database.write() as db:
            await runs.set_status(db, failed, RunStatus.FAILED)
        monkeypatch.setattr(submission, "MAX_QUEUED_RUNS", 1)
        with pytest.raises(ConflictError, match=r"1 runs of .* wait already"):
            await sync.submit(path)
        with pytest.raises(ConflictError, match=r"1 runs of .* wait already"):
            await commands.retry(sync.engine, failed, by="U1", team_id="T1")
        async with sync.engine.database.write() as db:
            await runs.set_status(db, waiting, RunStatus.CANCELLED)
        await commands.retry(sync.engine, failed, by="U1", team_id="T1")
