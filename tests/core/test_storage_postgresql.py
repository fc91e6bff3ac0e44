"""PostgreSQL fails during a run: the run continues or fails with a clear error, and loses no member."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from core.engine import open_engine
from core.errors import SettingsError, StorageError
from core.lease import LeaseTimes, elapsed
from core.models.run import PROCESS_DIED
from core.notifications.dispatcher import Dispatcher
from core.planning import batching
from core.runs import outcome, worker
from core.settings import Settings
from core.store import postgresql, runs
from core.store.database import Database
from tests.core.databases import new_postgresql, restart, without
from tests.core.harness import QUICK, RunStatus, Sync, people, syncing, until
from tests.core.storage import at_requests, once
from tests.core.workers import serving_workers

pytestmark = pytest.mark.extended

ROOT = Path(__file__).parents[2]
# Of a process to PostgreSQL.
MOST_CONNECTIONS = 7


@pytest.fixture
def url(postgresql_server: str) -> Iterator[str]:
    """The address of a new database."""
    address = new_postgresql(postgresql_server)
    yield address
    without(postgresql_server, address)


@pytest.fixture
async def sync(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sync]:
    """An engine on PostgreSQL with ten members per request."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 10)
    async with syncing(tmp_path, url, retry_policy=QUICK) as opened:
        yield opened


def name_of(url: str) -> str:
    """The name of a database."""
    return url.rpartition("?")[0].rpartition("/")[2]


def terminate(server: str, url: str) -> int:
    """End all connections to a database. Returns their number."""
    name = name_of(url)
    with psycopg.connect(server, autocommit=True) as connection:
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
        row = connection.execute(query, (name,)).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("every", [2, 5, 13])
async def test_connections_are_ended(
    sync: Sync, postgresql_server: str, url: str, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """A run continues by itself if the server ends its connections repeatedly, even during a write."""
    monkeypatch.setattr(outcome, "MOST_WAIT_S", 0.2)
    await sync.mirror(people(range(60)))
    run_id = await sync.submit(sync.mirror_file(people(range(30, 150))), approved=True)
    at_requests(monkeypatch, lambda: terminate(postgresql_server, url), every=every)
    assert await worker.start(sync.engine, run_id) is RunStatus.SUCCEEDED
    assert sync.emails() == {f"p{n}@example.com" for n in range(30, 150)}
    assert (await sync.outcome(run_id)).counts == {
        "members": 120,
        "left": 30,
        "added": 90,
        "removed": 30,
        "unchanged": 30,
    }


async def test_the_server_is_restarted(sync: Sync, postgresql_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run continues by itself if the server restarts."""
    run_id = await sync.submit(sync.mirror_file(people(range(100))))
    at_requests(monkeypatch, once(lambda: restart(postgresql_server)), every=4)
    assert await worker.start(sync.engine, run_id) is RunStatus.SUCCEEDED
    assert sync.emails() == {f"p{n}@example.com" for n in range(100)}
    assert (await sync.outcome(run_id)).counts == {"members": 100, "added": 100}


def set_read_only(server: str, url: str, state: str) -> None:
    """Make a database refuse writes ("on") or accept them ("off"), in all sessions from now on."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = {state}".encode())
    terminate(server, url)


async def test_read_only_while_running(
    sync: Sync, postgresql_server: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command's run fails with a clear error if the database refuses writes for long, and can be resumed later."""
    monkeypatch.setattr(outcome, "OUTAGE_S", 0.3)
    run_id = await sync.submit(sync.mirror_file(people(range(100))))
    at_requests(monkeypatch, once(lambda: set_read_only(postgresql_server, url, "on")), every=4)
    with pytest.raises(StorageError, match="takes no changes"):
        await worker.start(sync.engine, run_id)
    set_read_only(postgresql_server, url, "off")
    async with sync.engine.database.write() as db:
        await runs.set_status(db, run_id, RunStatus.INTERRUPTED)
    assert await worker.resume(sync.engine, run_id) is RunStatus.SUCCEEDED
    assert sync.emails() == {f"p{n}@example.com" for n in range(100)}


async def test_connections_of_a_busy_process(sync: Sync, postgresql_server: str, url: str) -> None:
    """A worker that executes twelve runs at once has no more connections than the documentation promises."""
    lists = [sync.iterable.state.add_list(f"List {number}").id for number in range(12)]
    ids = [
        await sync.submit(sync.mirror_file(people(range(50)), f"A{number}"), audience=f"A{number}", list_id=list_id)
        for number, list_id in enumerate(lists)
    ]
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    counts = []
    listening = asyncio.create_task(worker.run_worker(sync.engine))
    working = asyncio.gather(*(worker.start(sync.engine, run_id) for run_id in ids))
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        while not working.done():
            row = connection.execute(query, (name_of(url),)).fetchone()
            assert row is not None
            counts.append(row[0])
            await asyncio.wait([working], timeout=0.02)
    assert await working == [RunStatus.SUCCEEDED] * len(ids)
    sync.engine.stopping.set()
    await listening
    assert max(counts) <= MOST_CONNECTIONS
    page = (ROOT / "docs" / "explanation" / "several-processes.md").read_text(encoding="utf-8")
    assert f"A process opens up to {MOST_CONNECTIONS} connections to PostgreSQL" in page


async def test_stopped_while_the_database_is_away(
    sync: Sync, postgresql_server: str, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that waits for the database stops on request with a clear error, and its run can be resumed."""
    run_id = await sync.submit(sync.mirror_file(people(range(100))))
    at_requests(monkeypatch, once(lambda: set_read_only(postgresql_server, url, "on")), every=4)
    running = asyncio.create_task(worker.start(sync.engine, run_id))

    async def waits() -> bool:
        return "the database is unavailable" in caplog.text

    await until(waits)
    sync.engine.stopping.set()
    with pytest.raises(StorageError, match="takes no changes"):
        await running
    sync.engine.stopping.clear()
    set_read_only(postgresql_server, url, "off")
    async with sync.engine.database.write() as db:
        await runs.set_status(db, run_id, RunStatus.INTERRUPTED)
    assert await worker.resume(sync.engine, run_id) is RunStatus.SUCCEEDED
    assert sync.emails() == {f"p{n}@example.com" for n in range(100)}


@pytest.mark.parametrize("nth", [2, 4, 6, 8])
async def test_connections_are_ended_during_a_stop(
    sync: Sync, postgresql_server: str, url: str, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """A run whose process stops while the server ends its connections did not fail: another process resumes it."""
    sync.engine.hands_over = True
    run_id = await sync.submit(sync.mirror_file(people(range(100))), approved=True)

    def stop() -> None:
        sync.engine.stopping.set()
        terminate(postgresql_server, url)

    at_requests(monkeypatch, once(stop), every=nth)
    assert await worker.start(sync.engine, run_id) is RunStatus.INTERRUPTED
    assert (await sync.outcome(run_id)).run.error_code == PROCESS_DIED
    sync.engine.stopping.clear()
    assert await worker.resume(sync.engine, run_id) is RunStatus.SUCCEEDED
    assert sync.emails() == {f"p{n}@example.com" for n in range(100)}


async def test_run_of_a_worker_outlasts_any_outage(
    sync: Sync, postgresql_server: str, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker's run continues by itself when the database is back, however long that takes."""
    monkeypatch.setattr(outcome, "OUTAGE_S", 0.0)
    monkeypatch.setattr(outcome, "MOST_WAIT_S", 0.1)
    sync.engine.hands_over = True
    run_id = await sync.submit(sync.mirror_file(people(range(100))))
    at_requests(monkeypatch, once(lambda: set_read_only(postgresql_server, url, "on")), every=4)
    running = asyncio.create_task(worker.start(sync.engine, run_id))

    async def has_waited() -> bool:
        return running.done() or caplog.text.count("the database is unavailable") > 5

    await until(has_waited)
    set_read_only(postgresql_server, url, "off")
    assert await running is RunStatus.SUCCEEDED
    assert sync.emails() == {f"p{n}@example.com" for n in range(100)}


async def test_fail_over(sync: Sync, postgresql_server: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose primary becomes a standby waits and continues with new connections, without failing."""
    warnings: list[str] = []

    def stand_by() -> None:
        # as after a fail-over: existing connections stay and refuse writes, new ones accept them
        with psycopg.connect(postgresql_server, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on".encode())
        terminate(postgresql_server, url)

    def warned(message: str, *arguments: object) -> None:
        warnings.append(message % arguments)
        with psycopg.connect(postgresql_server, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = off".encode())

    monkeypatch.setattr(outcome.logger, "warning", warned)
    run_id = await sync.submit(sync.mirror_file(people(range(100))))
    at_requests(monkeypatch, once(stand_by), every=4)
    assert await worker.start(sync.engine, run_id) is RunStatus.SUCCEEDED
    gc.collect()  # a connection that is still open causes a warning, and so a failure
    assert any("takes no changes" in each for each in warnings)
    assert sync.emails() == {f"p{n}@example.com" for n in range(100)}
    assert (await sync.outcome(run_id)).counts == {"members": 100, "added": 100}


async def test_read_only_at_the_start(tmp_path: Path, postgresql_server: str, url: str) -> None:
    """A start with a database that refuses writes fails with an error about the database, not about directories."""
    set_read_only(postgresql_server, url, "on")
    settings = Settings(data_dir=tmp_path, database_url=url, _env_file=None)  # type: ignore[call-arg, arg-type]
    with pytest.raises(SettingsError, match=r"takes no changes .*ITERABLE_SYNC_DATABASE_URL"):
        async with open_engine(settings, "test"):
            pass


@contextlib.asynccontextmanager
async def all_connections(database: Database) -> AsyncIterator[None]:
    """Hold all connections of a process's pool for the length of the block."""
    async with contextlib.AsyncExitStack() as held:
        count = 0
        while count < postgresql.POOL_SIZE:
            with contextlib.suppress(PoolTimeoutError):
                await held.enter_async_context(database.read())
                count += 1
        yield


async def test_no_free_connection(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run, and the loops of a process, continue if no connection of the pool was free for a while."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 10)
    monkeypatch.setattr(postgresql, "POOL_TIMEOUT_S", 0.1)
    async with syncing(tmp_path, url, retry_policy=QUICK) as sync, serving_workers(sync.engine):
        dispatcher = asyncio.create_task(Dispatcher(sync.engine).run())
        run_id = await sync.submit(sync.mirror_file(people(range(60))), approved=True)
        is_sending = asyncio.Event()
        at_requests(monkeypatch, is_sending.set, every=4)
        running = asyncio.create_task(worker.start(sync.engine, run_id))
        await is_sending.wait()
        async with all_connections(sync.engine.database):

            async def have_failed() -> bool:
                lines = ["could not read runs", "could not poll", "could not read deliveries", "is unavailable"]
                return all(line in caplog.text for line in lines)

            await until(have_failed)
        assert await running is RunStatus.SUCCEEDED
        sync.engine.stopping.set()
        await dispatcher


async def test_heartbeat_has_its_own_connection(tmp_path: Path, url: str) -> None:
    """A process whose connections are all at work for longer than a lease keeps its lease."""
    times = LeaseTimes(heartbeat_s=0.1, lease_s=1.0, request_timeout_s=1.0, margin_s=1.0)
    async with syncing(tmp_path, url, times=times) as sync, all_connections(sync.engine.database):
        began = elapsed()

        async def has_passed() -> bool:
            return elapsed() - began > 2 * times.lease_s or not sync.engine.presence.lease.is_open()

        await until(has_passed)
        assert sync.engine.presence.lease.is_open()
