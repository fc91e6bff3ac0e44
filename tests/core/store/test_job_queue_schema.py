"""A database whose queue has the form of another release of procrastinate: what is in flight is finished."""

import asyncio
import logging
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text, update

from core.engine import open_engine
from core.errors import SettingsError
from core.runs import worker
from core.store import job_queue_schema
from core.store.database import Database
from core.store.migrate import migrate
from core.store.schema_snapshot import MIGRATIONS
from core.store.tables import runs as runs_table
from tests.core.crashing import ServeJob, crash
from tests.core.harness import LIST, OTHER_LIST, QUICK, RunStatus, Sync, addresses, people, syncing, until

#: SQLite has no such queue.
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

#: The last migrations of two releases in whose form our triggers work.
EARLIER = ["03.02.00_50_post_batch_defer_jobs", "03.03.00_01_pre_priority_lock_fetch_job"]
JOB = "queue_name, task_name, priority, lock"
CLAIM = "ALTER FUNCTION {} (character varying[], bigint) RENAME TO {}"


def build(url: str, last: str) -> None:
    """Replace procrastinate's tables by those of an earlier release, with the same jobs."""
    triggers = ScriptDirectory(str(MIGRATIONS)).get_revision("0037").module._TRIGGERS
    names = "SELECT oid::regprocedure FROM pg_proc WHERE proname LIKE 'procrastinate_%'"
    types = "SELECT typname FROM pg_type WHERE typname LIKE 'procrastinate_%' AND typtype IN ('e', 'c')"
    with psycopg.connect(url, autocommit=True) as db:
        jobs = db.execute(
            f"SELECT {JOB}, args::text, status::text FROM procrastinate_jobs ORDER BY id".encode()
        ).fetchall()
        for (table,) in db.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'procrastinate_%'").fetchall():
            db.execute(f"DROP TABLE {table} CASCADE".encode())
        for (function,) in db.execute(names).fetchall():
            db.execute(f"DROP FUNCTION IF EXISTS {function} CASCADE".encode())
        for (name,) in db.execute(types).fetchall():
            db.execute(f"DROP TYPE IF EXISTS {name} CASCADE".encode())
        for name, path in job_queue_schema.migrations().items():
            if name <= last:
                db.execute(path.read_bytes())
        insert = f"INSERT INTO procrastinate_jobs ({JOB}, args, status) VALUES (%s, %s, %s, %s, %s, %s)"
        db.cursor().executemany(insert.encode(), jobs)
        for statement in triggers.split(";"):
            if "CREATE INDEX" in statement:
                db.execute(statement.encode())
        db.execute(f"COMMENT ON TABLE procrastinate_jobs IS '{last}'".encode())


async def recorded(database: Database) -> str:
    """The newest migration that a database has, as it is recorded."""
    async with database.read() as db:
        return str((await db.execute(text("SELECT obj_description('procrastinate_jobs'::regclass)"))).scalar_one())


async def queued(sync: Sync, list_id: int = LIST) -> str:
    """Queue a run for any process, and return its id."""
    run_id = await sync.submit(sync.mirror_file(people(range(1, 4))), list_id=list_id)
    async with sync.engine.database.write() as db:
        await db.execute(update(runs_table).where(runs_table.c.id == run_id).values(worker_id=None))
    return run_id


async def have_succeeded(sync: Sync, ids: list[str]) -> bool:
    """Whether these runs have succeeded."""
    return all([(await sync.outcome(each)).run.status is RunStatus.SUCCEEDED for each in ids])


@pytest.mark.parametrize("release", EARLIER)
async def test_runs_in_flight(tmp_path: Path, database_url: str, release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with a newer release updates the queue next to an old one, and finishes what waits or was left."""
    monkeypatch.setattr(worker, "RESCUE_INTERVAL_S", 0.1)
    async with syncing(tmp_path, database_url, retry_policy=QUICK) as sync:
        ids = [await queued(sync, LIST)]
        assert await crash(ServeJob(settings=sync.engine.settings), "after the request, subscribe")
        ids.append(await queued(sync, OTHER_LIST))
        async with sync.engine.database.read() as db:
            jobs = (await db.execute(text("SELECT status FROM procrastinate_jobs ORDER BY id"))).scalars().all()
        assert jobs == ["doing", "todo"]
        build(database_url, release)
        async with open_engine(sync.engine.settings, "newer") as newer:
            assert await recorded(newer.database) == max(job_queue_schema.migrations())
            working = asyncio.create_task(worker.run_worker(newer))
            await until(lambda: have_succeeded(sync, ids))
            newer.stopping.set()
            await working
        assert sync.emails() == sync.emails(OTHER_LIST) == addresses(range(1, 4))
        async with sync.engine.database.read() as db:
            assert (await db.execute(text("SELECT count(*) FROM procrastinate_jobs"))).scalar_one() == 0


async def test_migration_that_fails(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrations before one that fails stay applied, and the next start continues with it."""
    newest = max(job_queue_schema.migrations())
    scripts = {
        "99.00.00_01_good": "CREATE TABLE good (id integer)",
        "99.00.00_02_bad": "CREATE TABLE good (id integer)",
    }
    paths = {name: tmp_path / f"{name}.sql" for name in scripts}
    for name, script in scripts.items():
        paths[name].write_text(script, encoding="utf-8")
    known = job_queue_schema.migrations() | paths
    monkeypatch.setattr(job_queue_schema, "migrations", lambda: known)
    database = Database(database_url)
    assert await recorded(database) == newest
    with pytest.raises(SettingsError):
        await migrate(database)
    assert await recorded(database) == "99.00.00_01_good"
    paths["99.00.00_02_bad"].write_text("CREATE TABLE better (id integer)", encoding="utf-8")
    await migrate(database)
    assert await recorded(database) == "99.00.00_02_bad"
    await database.close()


async def test_database_without_a_record(database_url: str) -> None:
    """A database from before migrations were recorded has the form of that time."""
    database = Database(database_url)
    async with database.write() as db:
        await db.execute(text("COMMENT ON TABLE procrastinate_jobs IS NULL"))
    await migrate(database)
    assert job_queue_schema.FIRST in job_queue_schema.migrations()
    await database.close()


async def test_newer_queue_is_refused(database_url: str) -> None:
    """A program with an older release does not start, and says what to install."""
    database = Database(database_url)
    async with database.write() as db:
        await db.run_sync(job_queue_schema.record, "99.00.00_01_later")
    with pytest.raises(SettingsError, match=r"newer release of procrastinate .*99\.00\.00_01_later.* Install"):
        await migrate(database)
    await database.close()


async def test_newer_queue_under_a_running_process(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process whose function for claims is gone stays, says so, and takes up runs again when it is back."""
    monkeypatch.setattr(worker, "POLL_INTERVAL_S", 0.05)
    caplog.set_level(logging.WARNING)
    async with syncing(tmp_path, database_url, retry_policy=QUICK) as sync:
        fetch = "procrastinate_fetch_job_v2"
        async with sync.engine.database.write() as db:
            await db.execute(text(CLAIM.format(fetch, "moved")))
        working = asyncio.create_task(worker.run_worker(sync.engine))
        run_id = await queued(sync)

        async def is_logged() -> bool:
            return "could not" in caplog.text

        await until(is_logged)
        assert not working.done()
        async with sync.engine.database.write() as db:
            await db.execute(text(CLAIM.format("moved", fetch)))
        await until(lambda: have_succeeded(sync, [run_id]))
        sync.engine.stopping.set()
        await working
