"""A killed process is dead at once; a silent one is dead once none of its requests can arrive."""

import asyncio
import multiprocessing
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import insert, select, text, update

from core import worker_registry
from core.errors import SettingsError, StorageError
from core.lease import LeaseLostError, LeaseTimes, elapsed
from core.store import lists, runs, workers
from core.store.database import Database
from core.store.migrate import migrate
from core.store.tables import batches
from core.store.tables import workers as table
from core.worker_registry import WorkerRegistration
from tests.core.databases import new_postgresql, without
from tests.core.harness import until
from tests.core.store import seeds

# A short lease: a process that was silent for a second is dead.
TIMES = LeaseTimes(heartbeat_s=0.02, lease_s=0.2, request_timeout_s=0.3, margin_s=0.5)
# A lease that outlasts any test.
PATIENT = LeaseTimes(heartbeat_s=0.02, lease_s=0.2, request_timeout_s=1000.0)

_processes = multiprocessing.get_context("forkserver")


def _run_process(url: str, data_dir: Path, sender: Connection) -> None:
    async def main() -> None:
        database = Database(url)
        registration = WorkerRegistration(database, data_dir, "other")
        async with registration.register():
            sender.send(registration.id)
            await asyncio.Event().wait()

    asyncio.run(main())


@asynccontextmanager
async def other_process(url: str, data_dir: Path) -> AsyncIterator[tuple[str, int]]:
    """Run another registered process; yields its worker id and its process id. It is killed at the end of the block."""
    receiver, sender = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_run_process, args=(url, data_dir, sender))
    process.start()
    try:
        assert process.pid is not None
        yield await asyncio.to_thread(receiver.recv), process.pid
    finally:
        process.kill()
        await asyncio.to_thread(process.join)


async def worker_ids(database: Database) -> list[str]:
    """The ids of the recorded processes."""
    async with database.read() as db:
        return [worker.id for worker in await workers.everyone(db)]


async def silence(database: Database, worker_id: str, seconds: float, **values: str) -> None:
    """Make a process silent for this many seconds."""
    async with database.write() as db:
        beaten = table.c.heartbeat_at - seconds
        await db.execute(update(table).where(table.c.id == worker_id).values(heartbeat_at=beaten, **values))


async def forget(database: Database, worker_id: str) -> None:
    """Declare a process dead, as another process does."""
    async with database.write() as db:
        worker = await workers.by_id(db, worker_id)
        assert worker is not None
        assert await workers.declare_dead(db, worker, may_wake=True)


async def test_killed_process_is_dead_at_once(database: Database, database_url: str, tmp_path: Path) -> None:
    """A killed process is dead at once, whatever its heartbeat says, and is removed."""
    own = WorkerRegistration(database, tmp_path, "me")
    async with own.register(), other_process(database_url, tmp_path) as (worker_id, pid):
        assert not await own.is_dead(worker_id)
        assert await own.reap_dead_workers() == []
        os.kill(pid, signal.SIGKILL)
        await until(lambda: own.is_dead(worker_id))  # the kernel takes a moment to end it
        assert await own.reap_dead_workers() == [worker_id]
        assert await worker_ids(database) == [own.id]
        assert await own.is_dead(worker_id)


async def test_paused_process_is_dead_after_its_lease(database: Database, database_url: str, tmp_path: Path) -> None:
    """A paused process that holds its lock is dead when its lease and its requests have expired."""
    own = WorkerRegistration(database, tmp_path, "me", TIMES)
    async with own.register(), other_process(database_url, tmp_path) as (worker_id, pid):
        os.kill(pid, signal.SIGSTOP)
        try:
            await silence(database, worker_id, TIMES.dead_after_s - 0.3)
            assert not await own.is_dead(worker_id)
            await until(lambda: own.is_dead(worker_id))
            async with database.read() as db:
                worker = await workers.by_id(db, worker_id)
            assert worker is not None
            assert worker.silent_for > TIMES.dead_after_s

            async def is_declared() -> bool:  # once its own lease is open: this machine may be slow
                return await own.reap_dead_workers() == [worker_id]

            await until(is_declared)
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_paused_transaction_is_ended(postgresql_server: str, tmp_path: Path) -> None:
    """A process that is paused during a write is declared dead, and its write is rolled back."""
    url = new_postgresql(postgresql_server)
    database = Database(url)
    # the watch lasts longer than a transaction may be idle, as with the default times
    times = LeaseTimes(heartbeat_s=0.02, lease_s=0.6, request_timeout_s=0.2, margin_s=0.2)
    own = WorkerRegistration(database, tmp_path, "me", times)
    async with own.register():
        async with database.write() as db:
            await workers.add(db, "far", "elsewhere", "far.lock")
        await silence(database, "far", 10 * times.dead_after_s)
        async with await psycopg.AsyncConnection.connect(url) as paused:
            await paused.execute("UPDATE workers SET heartbeat_at = heartbeat_at + 1000 WHERE id = 'far'")

            async def is_declared() -> bool:
                return await own.reap_dead_workers() == ["far"]

            await until(is_declared)
            with pytest.raises(psycopg.OperationalError):
                await paused.commit()
    await database.close()
    without(postgresql_server, url)


async def test_process_that_was_declared_dead_ends(database: Database, tmp_path: Path) -> None:
    """A process whose heartbeat changes no row ends with an error: others have taken over its work."""
    own = WorkerRegistration(database, tmp_path, "me", TIMES)
    with pytest.raises(LeaseLostError, match=r"declared it dead and took over .* Start it again"):
        await _until_declared_dead(database, own)
    assert not own.lease.is_open()
    assert await own.is_dead(own.id)
    with pytest.raises(LeaseLostError):
        await own.lease.until_open()
    assert await worker_ids(database) == []


async def _until_declared_dead(database: Database, own: WorkerRegistration) -> None:
    """Stay registered until another process declares this one dead."""
    stopping = asyncio.Event()
    own.on_lost = stopping.set
    async with own.register():
        await own.lease.until_open()
        await forget(database, own.id)
        await stopping.wait()


async def test_shared_outage_kills_no_process(database: Database, tmp_path: Path) -> None:
    """After an outage of the database, the first process that is back does not declare the others dead."""
    # the watch lasts longer than a transaction may be idle, as with the default times
    times = LeaseTimes(heartbeat_s=0.02, lease_s=0.6, request_timeout_s=0.2, margin_s=0.2)
    own = WorkerRegistration(database, tmp_path, "me", times)
    async with own.register():
        async with database.write() as db:
            await workers.add(db, "far", "elsewhere", "far.lock")
        assert not await own.is_dead("far")
        async with database.write() as db:
            await db.execute(text("ALTER TABLE workers RENAME TO away"))

        async def is_closed() -> bool:
            return not own.lease.is_open()

        await until(is_closed)
        assert await asyncio.wait_for(_is_closed_for(own, TIMES.dead_after_s), 10)
        async with database.write() as db:
            await db.execute(text("ALTER TABLE away RENAME TO workers"))
        await own.lease.until_open()
        assert not await own.is_dead("far")
        assert await own.reap_dead_workers() == []
        async with database.write() as db:
            assert await workers.beat(db, "far")


async def _is_closed_for(own: WorkerRegistration, seconds: float) -> bool:
    """Wait for this long, and return whether the lease is still closed."""
    began = elapsed()

    async def has_passed() -> bool:
        return elapsed() - began > seconds

    await until(has_passed)
    return not own.lease.is_open()


async def test_new_process_watches_first(database: Database, tmp_path: Path) -> None:
    """A new process can't know whether a silent one is dead, and may wait for the verdict."""
    async with database.write() as db:
        await workers.add(db, "far", "elsewhere", "far.lock")
    await silence(database, "far", 10 * TIMES.dead_after_s)
    own = WorkerRegistration(database, tmp_path, "me", TIMES)
    async with own.register():
        assert not await own.is_dead("far")
        await own.wait_for_verdict("far")
        assert await own.is_dead("far")


async def test_clock_set_ahead_kills_no_process(database: Database, tmp_path: Path) -> None:
    """A clock that is set ahead makes all processes seem silent, but the next heartbeat keeps them alive."""
    own = WorkerRegistration(database, tmp_path, "me", TIMES)
    other = WorkerRegistration(database, tmp_path / "other", "there", TIMES)
    async with own.register(), other.register():
        assert not await own.is_dead(other.id)
        await silence(database, other.id, 3600.0)
        assert not await own.is_dead(other.id)

        async def has_beaten() -> bool:
            async with database.read() as db:
                worker = await workers.by_id(db, other.id)
            return worker is not None and worker.silent_for < 100

        await until(has_beaten)
        assert not await own.is_dead(other.id)


async def test_process_is_not_dead_to_itself(database: Database, tmp_path: Path) -> None:
    """A recorded process does not consider itself dead."""
    own = WorkerRegistration(database, tmp_path, "me")
    async with own.register():
        await silence(database, own.id, 10 * own.times.dead_after_s)
        assert not await own.is_dead(own.id)
        assert await own.reap_dead_workers() == []


async def test_containers_with_the_same_name_and_path(database: Database, tmp_path: Path) -> None:
    """Two containers with different data directories at the same path don't consider each other dead."""
    own = WorkerRegistration(database, tmp_path / "a", "me", PATIENT)
    other = WorkerRegistration(database, tmp_path / "b", "me", PATIENT)
    async with own.register(), other.register():
        async with database.write() as db:  # as the other process sees its own directory
            own_path = str(tmp_path / "a" / "workers" / "not-there.lock")
            await db.execute(update(table).where(table.c.id == other.id).values(lock_path=own_path))
        assert not await own.is_dead(other.id)
        assert await own.reap_dead_workers() == []


async def test_containers_with_a_cloned_data_directory(database: Database, tmp_path: Path) -> None:
    """A process is alive for one that has a copy of its data directory at the same path, with an unlocked lock file."""
    own = WorkerRegistration(database, tmp_path / "a", "me", PATIENT)
    async with own.register():
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        clone = WorkerRegistration(database, tmp_path / "b", "me", PATIENT)
        async with clone.register():
            async with database.read() as db:
                worker = await workers.by_id(db, own.id)
            assert worker is not None
            copied = tmp_path / "b" / "workers" / Path(worker.lock_path).name
            assert copied.exists()
            async with database.write() as db:  # both containers have their volume at one path
                await db.execute(update(table).where(table.c.id == own.id).values(lock_path=str(copied)))
            assert not await clone.is_dead(own.id)
            assert await clone.reap_dead_workers() == []
            assert own.lease.is_open()


async def test_lock_file_of_another_user(database: Database, tmp_path: Path) -> None:
    """The heartbeats decide if a lock file can't be opened."""
    own, other = (WorkerRegistration(database, tmp_path, "me", PATIENT) for _ in range(2))
    async with own.register(), other.register():
        async with database.write() as db:  # a directory can't be opened for writing by anyone
            values = {"lock_path": str(tmp_path / "workers")}
            await db.execute(update(table).where(table.c.id == other.id).values(values))
        assert not await own.is_dead(other.id)
        assert await own.reap_dead_workers() == []


async def test_lost_lock_file(database: Database, tmp_path: Path) -> None:
    """The heartbeats decide if the lock file of a live process was removed."""
    own, other = (WorkerRegistration(database, tmp_path, "me", PATIENT) for _ in range(2))
    async with own.register(), other.register():
        for path in (tmp_path / "workers").glob("*.lock"):
            path.unlink()
        assert not await own.is_dead(other.id)


async def test_unrecorded_processes_release_their_work(database: Database, tmp_path: Path) -> None:
    """Runs and list locks of a process that is not recorded are released, and what it had claimed is in doubt."""
    own = WorkerRegistration(database, tmp_path, "me")
    async with own.register():
        mapping = await seeds.add_mapping(database)
        run_id = await seeds.add_run(database, mapping, worker="ghost#1")
        async with database.write() as db:
            assert await lists.acquire(db, mapping.connection_id, mapping.list_id, run_id, "ghost#1")
            batch = {"run_id": run_id, "phase": 0, "sent_size": 1, "counted_size": 1}
            await db.execute(insert(batches).values([batch | {"status": "sent"}, batch | {"status": "planned"}]))
        assert await own.reap_dead_workers() == []
        async with database.read() as db:
            run, state = await runs.by_id(db, run_id), await lists.get(db, mapping.connection_id, mapping.list_id)
            doubted = await db.execute(select(batches.c.status).where(batches.c.doubted_until.is_not(None)))
            assert doubted.scalars().all() == ["sent"]
        assert run is not None
        assert run.is_orphan
        assert run.worker_id is None
        assert state is not None
        assert state.locked_by_worker_id is None


async def test_clean_end_leaves_nothing(database: Database, tmp_path: Path) -> None:
    """A process that ends cleanly leaves no row and no lock file."""
    own = WorkerRegistration(database, tmp_path, "me")
    async with own.register():
        assert await worker_ids(database) == [own.id]
        assert len(list((tmp_path / "workers").glob("*.lock"))) == 1
    assert await worker_ids(database) == []
    assert list((tmp_path / "workers").glob("*.lock")) == []


async def test_restart_is_another_process(database: Database, tmp_path: Path) -> None:
    """A process is not mistaken for another with the same name, even while both run."""
    first, second = WorkerRegistration(database, tmp_path, "a/name"), WorkerRegistration(database, tmp_path, "a/name")
    async with first.register(), second.register():
        assert len(set(await worker_ids(database))) == 2
        assert not await first.is_dead(second.id)
        assert not await second.is_dead(first.id)


async def test_unknown_process_is_dead(database: Database, tmp_path: Path) -> None:
    """A process that is not recorded has ended."""
    assert await WorkerRegistration(database, tmp_path, "me").is_dead("unknown#1")


async def test_heartbeat_continues_after_a_failure(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that can't write a heartbeat, because the database is away for a moment, writes the next one."""
    monkeypatch.setattr(worker_registry, "RETRY_S", 0.01)
    own = WorkerRegistration(database, tmp_path, "me", TIMES)
    async with own.register():
        async with database.write() as db:
            await db.execute(text("ALTER TABLE workers RENAME TO away"))

        async def missed() -> bool:
            return bool(caplog.records)

        await until(missed)
        async with database.write() as db:
            await db.execute(text("ALTER TABLE away RENAME TO workers"))
        await silence(database, own.id, 1000)

        async def beats() -> bool:
            async with database.read() as db:
                worker = await workers.by_id(db, own.id)
            return worker is not None and worker.silent_for < 500

        await until(beats)


async def test_heartbeat_that_ends_with_an_error(tmp_path: Path) -> None:
    """A process whose heartbeat can't continue ends with that error, instead of waiting for a lease forever."""
    database = Database(f"sqlite:///{tmp_path / 'here.sqlite'}")
    await migrate(database)
    own = WorkerRegistration(database, tmp_path, "me", TIMES)
    with pytest.raises(StorageError, match="removed or replaced"):
        await _until_lost(own, lambda: (tmp_path / "here.sqlite").rename(tmp_path / "moved.sqlite"))
    assert not own.lease.is_open()
    with pytest.raises(LeaseLostError):
        await own.lease.until_open()
    await database.close()


async def _until_lost(own: WorkerRegistration, act: Callable[[], object]) -> None:
    """Stay registered, and act, until the lease is lost."""
    stopping = asyncio.Event()
    own.on_lost = stopping.set
    async with own.register():
        await own.lease.until_open()
        act()
        await asyncio.wait_for(stopping.wait(), 20)


async def test_data_directory_that_can_not_be_written(database: Database, tmp_path: Path) -> None:
    """An error says so if the lock file can't be created."""
    (tmp_path / "workers").write_text("in the way")
    with pytest.raises(SettingsError, match="ITERABLE_SYNC_DATA_DIR"):
        async with WorkerRegistration(database, tmp_path, "me").register():
            raise AssertionError("the lock can't be created")
