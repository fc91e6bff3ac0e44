"""The disk or the database fails: the run fails with a clear error, loses nothing, and can be resumed."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.engine import open_engine
from core.errors import SettingsError, StorageError
from core.planning import batching
from core.runs import worker
from core.settings import Settings
from core.store import database as database_module
from core.store import runs
from sandbox.iterable import Fault
from tests.core.databases import sampled
from tests.core.harness import HELD_S, QUICK, RunStatus, Sync, people, syncing, until
from tests.core.storage import disk_of, locked_by_another, read_only


@pytest.fixture
async def sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sync]:
    """An engine on SQLite with ten members per request."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 10)
    async with syncing(tmp_path, retry_policy=QUICK) as opened:
        yield opened


def _file(sync: Sync) -> Path:
    return sync.engine.settings.data_dir / "iterable-sync.sqlite"


@pytest.mark.parametrize("pages", sampled([0, 2, 5], 3))
async def test_disk_full(sync: Sync, pages: int) -> None:
    """A run on a full disk fails with a clear error, and a later run succeeds without losing a member."""
    await sync.mirror(people(range(5)))
    run_id = await sync.submit(sync.mirror_file(people(range(2, 900))))
    async with disk_of(sync.engine.database, pages):
        with contextlib.suppress(SettingsError):  # if not even the failure can be recorded
            await worker.start(sync.engine, run_id)
        stopped = (await sync.outcome(run_id)).run
    assert stopped.status is not RunStatus.SUCCEEDED
    assert stopped.status is not RunStatus.FAILED or "disk is full" in (stopped.error or "")
    outcome = await sync.mirror(people(range(2, 900)), approved=True)
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert sync.emails() == {f"p{n}@example.com" for n in range(2, 900)}


async def test_locked_for_a_while(sync: Sync) -> None:
    """A run waits while another program locks the database, and then succeeds."""
    path = sync.mirror_file(people(range(30)))
    with locked_by_another(_file(sync)) as release:
        run = asyncio.create_task(sync.run(path))
        done, _ = await asyncio.wait([run], timeout=0.5)
        assert not done
        release()
        outcome = await run
    assert outcome.counts == {"members": 30, "added": 30}


async def test_locked_for_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command fails with the cause if the database stays locked, and succeeds later."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.2)
    async with syncing(tmp_path, retry_policy=QUICK) as sync:
        path = sync.mirror_file(people(range(30)))
        with locked_by_another(_file(sync)), pytest.raises(Exception, match="locked"):
            await sync.run(path)
        assert (await sync.run(path)).counts == {"members": 30, "added": 30}


async def test_read_only(tmp_path: Path) -> None:
    """A start with a database that can't be written fails with a clear error."""
    data = tmp_path / "data"
    data.mkdir()
    sqlite3.connect(data / "iterable-sync.sqlite").close()
    url = f"sqlite:///file:{data / 'iterable-sync.sqlite'}?mode=ro&uri=true"
    settings = Settings(data_dir=data, database_url=url, _env_file=None)  # type: ignore[call-arg, arg-type]
    with pytest.raises(SettingsError, match="can't be written"):
        async with open_engine(settings, "test"):
            pass


async def test_read_only_while_running(sync: Sync) -> None:
    """A run stops with a clear error when its database becomes read-only, and a later run succeeds."""
    slow = Fault("slow", path="/api/lists/subscribe", delay=HELD_S)
    sync.iterable.faults.add(slow)
    run_id = await sync.submit(sync.mirror_file(people(range(200))))

    async def has_begun() -> bool:
        return slow.hits > 0

    run = asyncio.create_task(worker.start(sync.engine, run_id))
    await until(has_begun)
    async with read_only(sync.engine.database):
        sync.iterable.faults.clear()
        with pytest.raises(StorageError, match="can't be written"):
            await run
    assert (await sync.mirror(people(range(100, 250)), approved=True)).run.status is RunStatus.SUCCEEDED
    assert sync.emails() == {f"p{n}@example.com" for n in range(100, 250)}


async def test_deleted_while_running(sync: Sync) -> None:
    """A run whose database file is removed stops before it sends anything."""
    await sync.mirror(people(range(5)))
    path = sync.mirror_file(people(range(100)))
    run_id = await sync.submit(path)
    kept = _file(sync).with_suffix(".kept")
    _file(sync).rename(kept)
    with pytest.raises(StorageError, match="removed or replaced"):
        await worker.start(sync.engine, run_id)
    assert len(sync.emails()) == 5
    kept.rename(_file(sync))
    assert (await sync.mirror(people(range(100)))).run.status is RunStatus.SUCCEEDED
    assert len(sync.emails()) == 100


@pytest.mark.extended
async def test_clock_goes_back_an_hour(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs keep their order and their rate when the clock goes back by an hour between two of them."""
    now = time.time
    sync.iterable.faults.add(Fault("error", path="/api/lists/subscribe"))
    first = await sync.delta(joined=people(range(40)))
    assert first.run.status is RunStatus.FAILED
    sync.iterable.faults.clear()
    monkeypatch.setattr(time, "time", lambda: now() - 3600)
    second = await sync.delta(left=people(range(30)), approved=True)
    assert second.run.status is RunStatus.SUCCEEDED
    assert sync.emails() == {f"p{n}@example.com" for n in range(30, 40)}
    async with sync.engine.database.read() as db:
        assert [run.id for run in await runs.latest(db, 2)] == [second.run.id, first.run.id]
