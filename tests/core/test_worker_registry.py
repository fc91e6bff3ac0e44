"""Who is alive: a process that was killed is dead at once; one that is silent, once nothing of it can arrive."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text, update

from core import worker_registry
from core.errors import SettingsError
from core.lease import LeaseLostError, LeaseTimes, elapsed
from core.store import lists, runs, workers
from core.store.database import Database
from core.store.tables import workers as table
from core.worker_registry import WorkerRegistration
from tests.core.databases import new_postgresql, on_both, without
from tests.core.harness import until
from tests.core.store import seeds

# A lease that runs out in an instant: whoever was silent for a second is dead.
TIMES = LeaseTimes(heartbeat_s=0.02, lease_s=0.2, request_timeout_s=0.3, margin_s=0.5)
# One that lasts as long as any test.
PATIENT = LeaseTimes(heartbeat_s=0.02, lease_s=0.2, request_timeout_s=1000.0)

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


async def forget(database: Database, worker_id: str) -> None:
    """Do what another process does that declares one dead."""
    async with database.write() as db:
        found = await workers.by_id(db, worker_id)
        assert found is not None
        assert await workers.declare_dead(db, found, may_wake=True)


async def test_killed_process_is_dead_at_once(database: Database, database_url: str, tmp_path: Path) -> None:
    """A process that was killed is dead at once, whatever its heartbeat says, and is forgotten."""
    here = WorkerRegistration(database, tmp_path, "me")
    async with here.register(), other_process(database_url, tmp_path) as (worker_id, pid):
        assert not await here.is_dead(worker_id)
        assert await here.reap_dead_workers() == []
        os.kill(pid, signal.SIGKILL)
        await until(lambda: here.is_dead(worker_id))  # the kernel ends it, which is not in an instant
        assert await here.reap_dead_workers() == [worker_id]
        assert await worker_ids(database) == [here.id]
        assert await here.is_dead(worker_id)


@on_both
async def test_paused_process_is_dead_after_its_lease(database: Database, database_url: str, tmp_path: Path) -> None:
    """A process that is paused, and holds its lock, is dead when its lease and its requests have run out."""
    here = WorkerRegistration(database, tmp_path, "me", TIMES)
    async with here.register(), other_process(database_url, tmp_path) as (worker_id, pid):
        os.kill(pid, signal.SIGSTOP)
        try:
            await silence(database, worker_id, TIMES.dead_after_s - 0.3)
            assert not await here.is_dead(worker_id)
            await until(lambda: here.is_dead(worker_id))
            async with database.read() as db:
                found = await workers.by_id(db, worker_id)
            assert found is not None
            assert found.silent_for > TIMES.dead_after_s

            async def is_declared() -> bool:  # once its own lease is open: this machine may be slow
                return await here.reap_dead_workers() == [worker_id]

            await until(is_declared)
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_paused_transaction_keeps_nobody_waiting(postgresql_server: str, tmp_path: Path) -> None:
    """A process that was paused in the middle of a write is declared dead all the same, and its write is undone."""
    url = new_postgresql(postgresql_server)
    database = Database(url)
    # watched for longer than a transaction may do nothing, as with the times that are used
    times = LeaseTimes(heartbeat_s=0.02, lease_s=0.6, request_timeout_s=0.2, margin_s=0.2)
    here = WorkerRegistration(database, tmp_path, "me", times)
    async with here.register():
        async with database.write() as db:
            await workers.add(db, "far", "elsewhere", "far.lock")
        await silence(database, "far", 10 * times.dead_after_s)
        async with await psycopg.AsyncConnection.connect(url) as paused:
            await paused.execute("UPDATE workers SET heartbeat_at = heartbeat_at + 1000 WHERE id = 'far'")

            async def is_declared() -> bool:
                return await here.reap_dead_workers() == ["far"]

            await until(is_declared)
            with pytest.raises(psycopg.OperationalError):
                await paused.commit()
    await database.close()
    without(postgresql_server, url)


async def test_process_that_was_declared_dead_ends(database: Database, tmp_path: Path) -> None:
    """A heartbeat that changes no row ends the process, with a sentence: others have taken over its work."""
    here = WorkerRegistration(database, tmp_path, "me", TIMES)
    with pytest.raises(LeaseLostError, match=r"declared it dead and took over .* Start it again"):
        await _until_declared_dead(database, here)
    assert not here.lease.is_open()
    assert await here.is_dead(here.id)
    with pytest.raises(LeaseLostError):
        await here.lease.until_open()
    assert await worker_ids(database) == []


async def _until_declared_dead(database: Database, here: WorkerRegistration) -> None:
    """Be alive until another process declares this one dead."""
    stopping = asyncio.Event()
    here.on_lost = stopping.set
    async with here.register():
        assert here.lease.is_open()
        await forget(database, here.id)
        await stopping.wait()


async def test_process_that_could_not_beat_declares_nobody_dead(database: Database, tmp_path: Path) -> None:
    """After an outage that all share, the first process that is back does not take the others for dead."""
    # watched for longer than a transaction may do nothing, as with the times that are used
    times = LeaseTimes(heartbeat_s=0.02, lease_s=0.6, request_timeout_s=0.2, margin_s=0.2)
    here = WorkerRegistration(database, tmp_path, "me", times)
    async with here.register():
        async with database.write() as db:
            await workers.add(db, "far", "elsewhere", "far.lock")
        assert not await here.is_dead("far")
        async with database.write() as db:
            await db.execute(text("ALTER TABLE workers RENAME TO away"))

        async def is_closed() -> bool:
            return not here.lease.is_open()

        await until(is_closed)
        assert await asyncio.wait_for(_is_closed_for(here, TIMES.dead_after_s), 10)
        async with database.write() as db:
            await db.execute(text("ALTER TABLE away RENAME TO workers"))
        await here.lease.until_open()
        assert not await here.is_dead("far")
        assert await here.reap_dead_workers() == []
        async with database.write() as db:
            assert await workers.beat(db, "far")


async def _is_closed_for(here: WorkerRegistration, seconds: float) -> bool:
    """Wait until a process could not beat for so long."""
    began = elapsed()

    async def long_enough() -> bool:
        return elapsed() - began > seconds

    await until(long_enough)
    return not here.lease.is_open()


async def test_process_that_has_just_begun_watches_first(database: Database, tmp_path: Path) -> None:
    """A process that has just begun can't know whether a silent one is dead, and may wait until it can."""
    async with database.write() as db:
        await workers.add(db, "far", "elsewhere", "far.lock")
    await silence(database, "far", 10 * TIMES.dead_after_s)
    here = WorkerRegistration(database, tmp_path, "me", TIMES)
    async with here.register():
        assert not await here.is_dead("far")
        await here.wait_for_verdict("far")
        assert await here.is_dead("far")


async def test_clocks_do_not_kill(database: Database, tmp_path: Path) -> None:
    """A clock that was put forth makes all seem silent, and nobody dead: the next heartbeat is seen."""
    here = WorkerRegistration(database, tmp_path, "me", TIMES)
    there = WorkerRegistration(database, tmp_path / "other", "there", TIMES)
    async with here.register(), there.register():
        assert not await here.is_dead(there.id)
        await silence(database, there.id, 3600.0)
        assert not await here.is_dead(there.id)

        async def has_beaten() -> bool:
            async with database.read() as db:
                found = await workers.by_id(db, there.id)
            return found is not None and found.silent_for < 100

        await until(has_beaten)
        assert not await here.is_dead(there.id)


async def test_process_is_not_dead_to_itself(database: Database, tmp_path: Path) -> None:
    """A process that is on record does not take itself for dead."""
    here = WorkerRegistration(database, tmp_path, "me")
    async with here.register():
        await silence(database, here.id, 10 * here.times.dead_after_s)
        assert not await here.is_dead(here.id)
        assert await here.reap_dead_workers() == []


async def test_containers_with_one_name_and_path_live(database: Database, tmp_path: Path) -> None:
    """Two containers whose data directories have one path, but are not one, don't take each other for dead."""
    here = WorkerRegistration(database, tmp_path / "a", "me", PATIENT)
    there = WorkerRegistration(database, tmp_path / "b", "me", PATIENT)
    async with here.register(), there.register():
        async with database.write() as db:  # as the other sees its own directory
            mine = str(tmp_path / "a" / "workers" / "not-there.lock")
            await db.execute(update(table).where(table.c.id == there.id).values(lock_path=mine))
        assert not await here.is_dead(there.id)
        assert await here.reap_dead_workers() == []


async def test_lost_lock_file_is_no_death(database: Database, tmp_path: Path) -> None:
    """Where somebody removed the lock of a process that lives, its heartbeats decide."""
    here, there = (WorkerRegistration(database, tmp_path, "me", PATIENT) for _ in range(2))
    async with here.register(), there.register():
        for path in (tmp_path / "workers").glob("*.lock"):
            path.unlink()
        assert not await here.is_dead(there.id)


@on_both
async def test_what_unrecorded_processes_hold_is_freed(database: Database, tmp_path: Path) -> None:
    """Runs and lists whose process is not on record are freed, whoever that was."""
    here = WorkerRegistration(database, tmp_path, "me", TIMES)
    async with here.register():
        mapping = await seeds.add_mapping(database)
        run_id = await seeds.add_run(database, mapping, worker="ghost#1")
        async with database.write() as db:
            assert await lists.acquire(db, mapping.connection_id, mapping.list_id, run_id, "ghost#1")
        assert await here.reap_dead_workers() == []
        async with database.read() as db:
            run, state = await runs.by_id(db, run_id), await lists.get(db, mapping.connection_id, mapping.list_id)
        assert run is not None
        assert run.is_orphan
        assert run.worker_id is None
        assert state is not None
        assert state.locked_by_worker_id is None


async def test_clean_end_leaves_nothing(database: Database, tmp_path: Path) -> None:
    """A process that ends cleanly is forgotten, and its file is gone."""
    here = WorkerRegistration(database, tmp_path, "me")
    async with here.register():
        assert await worker_ids(database) == [here.id]
        assert len(list((tmp_path / "workers").glob("*.lock"))) == 1
    assert await worker_ids(database) == []
    assert list((tmp_path / "workers").glob("*.lock")) == []


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
    monkeypatch.setattr(worker_registry, "RETRY_S", 0.01)
    here = WorkerRegistration(database, tmp_path, "me", TIMES)
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
