"""Who is alive: a process that was killed is dead at once, and one that lives is not, whatever its heartbeat says."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from sqlalchemy import text, update

from core import worker_registry
from core.errors import SettingsError
from core.store import workers
from core.store.database import Database
from core.store.tables import workers as table
from core.worker_registry import DEAD_AFTER_S, WorkerRegistration
from tests.core.harness import until

_processes = multiprocessing.get_context("forkserver")


def _be_here(url: str, data_dir: Path, told: Connection) -> None:
    async def main() -> None:
        database = Database(url)
        here = WorkerRegistration(database, data_dir, "other")
        async with here.register():
            told.send(here.id)
            await asyncio.Event().wait()

    asyncio.run(main())


@asynccontextmanager
async def other_process(url: str, data_dir: Path) -> AsyncIterator[tuple[str, int]]:
    """Another process that is present: its worker id and its process id. It is killed at the end of the block."""
    receiver, sender = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_be_here, args=(url, data_dir, sender))
    process.start()
    try:
        assert process.pid is not None
        yield await asyncio.to_thread(receiver.recv), process.pid
    finally:
        process.kill()
        await asyncio.to_thread(process.join)


async def worker_ids(database: Database) -> list[str]:
    """The processes that are recorded."""
    async with database.read() as db:
        return [worker.id for worker in await workers.everyone(db)]


async def silence(database: Database, worker_id: str, seconds: float, **values: str) -> None:
    """Make a process one that has not been heard of for so long."""
    async with database.write() as db:
        beaten = table.c.heartbeat_at - seconds
        await db.execute(update(table).where(table.c.id == worker_id).values(heartbeat_at=beaten, **values))


async def test_killed_process_is_dead_at_once(database: Database, database_url: str, tmp_path: Path) -> None:
    """A process that lives is not dead, however long it is silent; killed, it is dead at once and buried."""
    here = WorkerRegistration(database, tmp_path, "me")
    async with here.register(), other_process(database_url, tmp_path) as (worker_id, pid):
        await silence(database, worker_id, 10 * DEAD_AFTER_S)
        assert not await here.is_dead(worker_id)
        assert await here.reap_dead_workers() == []
        os.kill(pid, signal.SIGKILL)
        await until(lambda: here.is_dead(worker_id))  # the kernel ends it, which is not in an instant
        assert await here.reap_dead_workers() == [worker_id]
        assert await worker_ids(database) == [here.id]
        assert await here.is_dead(worker_id)


async def test_process_is_not_dead_to_itself(database: Database, tmp_path: Path) -> None:
    """A process never takes itself for dead."""
    here = WorkerRegistration(database, tmp_path, "me")
    async with here.register():
        await silence(database, here.id, 10 * DEAD_AFTER_S)
        assert not await here.is_dead(here.id)
        assert await here.reap_dead_workers() == []


async def test_process_of_another_host_lives_by_its_heartbeat(database: Database, tmp_path: Path) -> None:
    """A process of another machine is dead once it has been silent for long, and not before."""
    here = WorkerRegistration(database, tmp_path, "me")
    async with here.register():
        async with database.write() as db:
            await workers.add(db, "far", "another-host", str(tmp_path / "workers" / "far.lock"))
        assert not await here.is_dead("far")
        await silence(database, "far", DEAD_AFTER_S - 10)
        assert await here.reap_dead_workers() == []
        await silence(database, "far", 20)
        assert await here.reap_dead_workers() == ["far"]


async def test_process_of_another_data_directory_lives_by_its_heartbeat(database: Database, tmp_path: Path) -> None:
    """Where the lock is out of sight, as in another container, the heartbeat decides."""
    here = WorkerRegistration(database, tmp_path, "me")
    async with here.register():
        there = WorkerRegistration(database, tmp_path / "other", "there")
        async with there.register():
            assert not await here.is_dead(there.id)
            await silence(database, there.id, DEAD_AFTER_S + 10)
            assert await here.is_dead(there.id)


async def test_clean_end_leaves_nothing(database: Database, tmp_path: Path) -> None:
    """A process that ends cleanly is forgotten, and its file is gone."""
    here = WorkerRegistration(database, tmp_path, "me")
    async with here.register():
        assert await worker_ids(database) == [here.id]
        assert len(list((tmp_path / "workers").iterdir())) == 1
    assert await worker_ids(database) == []
    assert list((tmp_path / "workers").iterdir()) == []


async def test_restart_is_another_process(database: Database, tmp_path: Path) -> None:
    """A process with the name of a former one is not taken for it, even while both are there."""
    first, second = WorkerRegistration(database, tmp_path, "a/name"), WorkerRegistration(database, tmp_path, "a/name")
    async with first.register(), second.register():
        assert len(set(await worker_ids(database))) == 2
        assert not await first.is_dead(second.id)
        assert not await second.is_dead(first.id)


async def test_unknown_process_is_dead(database: Database, tmp_path: Path) -> None:
    """A process that is not recorded has ended."""
    assert await WorkerRegistration(database, tmp_path, "me").is_dead("nobody#1")


async def test_heart_goes_on_after_a_failure(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A heartbeat that can't be written, because the database is away for a moment, is not the last."""
    monkeypatch.setattr(worker_registry, "HEARTBEAT_S", 0.01)
    here = WorkerRegistration(database, tmp_path, "me")
    async with here.register():
        async with database.write() as db:
            await db.execute(text("ALTER TABLE workers RENAME TO away"))

        async def missed() -> bool:
            return bool(caplog.records)

        await until(missed)
        async with database.write() as db:
            await db.execute(text("ALTER TABLE away RENAME TO workers"))
        await silence(database, here.id, 1000)

        async def beats() -> bool:
            async with database.read() as db:
                found = await workers.by_id(db, here.id)
            return found is not None and found.silent_for < 500

        await until(beats)


async def test_data_directory_that_can_not_be_written(database: Database, tmp_path: Path) -> None:
    """Where the lock can't be made, the sentence says so."""
    (tmp_path / "workers").write_text("in the way")
    with pytest.raises(SettingsError, match="ITERABLE_SYNC_DATA_DIR"):
        async with WorkerRegistration(database, tmp_path, "me").register():
            raise AssertionError("nobody is here")
