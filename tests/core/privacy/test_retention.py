"""Expired data is deleted, and nothing else: the data directory does not grow forever."""

import fcntl
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text, update

from core import worker_registry
from core.delivery.uploader import UNLIMITED
from core.models.run import CancelReason
from core.planning import batching as plan
from core.privacy import retention
from core.settings import DAY_S, STANDARD_INPUT
from core.store import database, expiry, run_history, runs
from core.store.tables import alerts, audit_log, batches, last_known_emails, rejections
from core.store.tables import runs as runs_table
from sandbox.iterable import Fault
from tests.core.harness import QUICK, Member, RunStatus, Sync, people, syncing, until

# The default of each setting.
MONTH_S = 30 * 24 * 3600.0


@pytest.fixture
async def sync(tmp_path: Path, database_url: str) -> AsyncIterator[Sync]:
    """An engine that gives up after a moment."""
    async with syncing(tmp_path, database_url, retry_policy=QUICK) as opened:
        yield opened


async def _count_kept(sync: Sync) -> tuple[int, int]:
    """The numbers of batches and rejections."""
    async with sync.engine.database.read() as db:
        counts = [
            (await db.execute(select(func.count()).select_from(each))).scalar_one() for each in (batches, rejections)
        ]
    return counts[0], counts[1]


async def _let_a_month_pass(sync: Sync) -> None:
    async with sync.engine.database.write() as db:
        await db.execute(update(runs_table).values(finished_at=runs_table.c.finished_at - MONTH_S))


async def test_old_runs_lose_their_batches(sync: Sync) -> None:
    """The batches and rejections of all old runs are deleted, in several passes, and the runs stay."""
    run_count = retention.CLEAR_RUNS + 2
    for number in range(run_count):
        await sync.mirror([*people(range(number + 1)), Member(-1)])
    assert await _count_kept(sync) == (run_count, run_count)
    await retention.purge_expired(sync.engine)
    assert await _count_kept(sync) == (run_count, run_count)
    await _let_a_month_pass(sync)
    for _ in range(2):
        await retention.purge_expired(sync.engine)
    assert await _count_kept(sync) == (0, 0)
    async with sync.engine.database.read() as db:
        assert [run.counters.added for run in await runs.latest(db, 20)] == [1] * run_count


async def test_each_kind_has_its_time(tmp_path: Path) -> None:
    """Changes, rejections and last addresses are each deleted after the days in their setting."""
    async with syncing(tmp_path, retry_policy=QUICK) as sync:
        days = {"changes_retention_days": 2.0, "rejections_retention_days": 1.0, "former_emails_retention_days": 3.0}
        sync.engine.settings = sync.engine.settings.model_copy(update=days)
        outcome = await sync.mirror([*people(range(3)), Member(-1)])
        left = await sync.delta(left=people([0]))
        kept = []
        for _ in range(4):
            await retention.purge_expired(sync.engine)
            async with sync.engine.database.read() as db:
                addresses = len((await db.execute(select(last_known_emails))).all())
                mapping_id = outcome.run.mapping_id
                (past,) = await run_history.last(db, mapping_id, None, 1, before=time.time(), but=left.run.id)
            kept.append((*await _count_kept(sync), addresses, past.is_purged))
            async with sync.engine.database.write() as db:
                aged = runs_table.c.finished_at - DAY_S
                await db.execute(update(runs_table).values(finished_at=aged))
                seen_at = last_known_emails.c.seen_at - DAY_S
                await db.execute(update(last_known_emails).values(seen_at=seen_at))
        assert kept == [(2, 1, 1, False), (2, 0, 1, True), (0, 0, 1, True), (0, 0, 0, True)]


async def test_addresses_of_leavers_expire(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last known address of a leaver is kept as long as a run's changes, and then deleted."""
    monkeypatch.setattr(retention, "CLEAR_ADDRESSES", 2)
    await sync.mirror(people(range(8)))
    for left in (range(5), range(5, 7)):
        await sync.delta(left=people(left))
        async with sync.engine.database.write() as db:
            await db.execute(update(last_known_emails).values(seen_at=last_known_emails.c.seen_at - MONTH_S / 2 - 1))
    await retention.purge_expired(sync.engine)
    async with sync.engine.database.read() as db:
        assert (
            await db.execute(select(last_known_emails.c.email).order_by(last_known_emails.c.email))
        ).scalars().all() == [
            "p5@example.com",
            "p6@example.com",
        ]


@pytest.mark.extended
async def test_history_is_kept_as_long_as_settings_say(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, closed alerts and audit entries are deleted after their days, and kept without a setting."""
    monkeypatch.setattr(expiry, "KEPT_RUNS", 2)
    monkeypatch.setattr(retention, "CLEAR_ROWS", 1)
    engine = sync.engine
    run_ids = [(await sync.mirror(people(range(2)))).run.id for _ in range(4)]
    async with engine.database.write() as db:
        first = await runs.by_id(db, run_ids[0])
        assert first is not None
        await db.execute(update(runs_table).values(is_purged=True, finished_at=runs_table.c.finished_at - MONTH_S))
        await db.execute(update(runs_table).where(runs_table.c.id == run_ids[1]).values(is_log_due=True))
        for closed_at in (None, time.time() - MONTH_S):
            values = {"connection_id": first.connection_id, "code": "x", "message": "x", "opened_at": 1.0}
            await db.execute(insert(alerts).values(**values, closed_at=closed_at))
        for at in (time.time(), time.time() - 2 * MONTH_S):
            await db.execute(insert(audit_log).values(at=at, actor="x", action="run.started", subject="run:x"))

    async def kept() -> tuple[list[str], int, int]:
        await retention.drop_history(engine)
        async with engine.database.read() as db:
            ids = list((await db.execute(select(runs_table.c.id).order_by(runs_table.c.created_at))).scalars())
            numbers = [
                (await db.execute(select(func.count()).select_from(table).where(which))).scalar_one()
                for table, which in ((alerts, alerts.c.code == "x"), (audit_log, audit_log.c.actor == "x"))
            ]
        return ids, numbers[0], numbers[1]

    assert await kept() == (run_ids, 2, 2)
    days = {"runs_retention_days": 40.0, "alerts_retention_days": 20.0, "audit_retention_days": 30.0}
    engine.settings = engine.settings.model_copy(update=days)
    assert await kept() == (run_ids, 1, 1)
    engine.settings = engine.settings.model_copy(update={"runs_retention_days": 20.0})
    assert (await kept())[0] == run_ids[1:]  # the second waits for the run log, the others are the newest


@pytest.mark.extended
async def test_unfinished_changes_stay(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """The changes of a failed run stay, however old it is, because it can be resumed."""
    monkeypatch.setattr(plan, "BATCH_SIZE", 1)
    sync.iterable.faults.add(Fault("error", path="/api/lists/subscribe"))
    failed = await sync.delta(joined=people(range(2 * UNLIMITED)))  # more than are sent at once
    assert failed.run.status is RunStatus.FAILED
    sync.iterable.faults.clear()
    await _let_a_month_pass(sync)
    await retention.purge_expired(sync.engine)
    outcome = await sync.resume(failed.run.id)
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert sync.emails() == {f"p{n}@example.com" for n in range(2 * UNLIMITED)}


@pytest.mark.extended
async def test_unanswered_batches_stay(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unanswered batch of a cancelled run stays until another run has recorded its members."""
    monkeypatch.setattr(plan, "BATCH_SIZE", 1)
    await sync.mirror(people(range(3)))
    sync.iterable.faults.add(Fault("reset", path="/api/lists/subscribe", after=1, applied=True))
    lost = await sync.delta(joined=people([6, 7]))
    async with sync.engine.database.write() as db:
        assert await runs.cancel_stopped(db, lost.run, CancelReason.UNDONE, "No longer wanted.")
    sync.iterable.faults.clear()
    assert sync.emails() == {f"p{n}@example.com" for n in (0, 1, 2, 6, 7)}
    await _let_a_month_pass(sync)
    await retention.purge_expired(sync.engine)
    await sync.mirror(people(range(3)), approved=True)
    assert sync.emails() == {f"p{n}@example.com" for n in range(3)}


async def test_files_of_killed_processes_are_deleted(sync: Sync) -> None:
    """Files of a run are deleted once no process works on it; files of unknown runs stay."""
    ended_run = (await sync.mirror(people(range(3)))).run.id
    queued_run = await sync.submit(sync.mirror_file(people(range(4))))
    data_dir = sync.engine.settings.data_dir
    directories = [
        data_dir / kind / run_id for kind in ("work", "fetched") for run_id in (ended_run, queued_run, "another")
    ]
    for path in directories:
        path.mkdir(parents=True)
        (path / "spill").write_text("left")
    await retention.remove_orphaned_files(sync.engine)
    assert [path.name for path in directories if path.exists()] == [queued_run, "another"] * 2


async def test_old_standard_input_is_deleted(sync: Sync) -> None:
    """Saved standard input stays as long as its run may be approved."""
    folder = sync.engine.settings.data_dir / STANDARD_INPUT
    for name, age in (("old", sync.engine.settings.approval_expiry_s + 60), ("young", 0)):
        (folder / name).mkdir(parents=True)
        os.utime(folder / name, (time.time() - age,) * 2)
    await retention.remove_orphaned_files(sync.engine)
    assert [path.name for path in folder.iterdir()] == ["young"]


async def test_stray_locks_are_deleted(sync: Sync) -> None:
    """The lock file of a process that died before it was recorded is deleted after a while, unless it is held."""
    own = next((sync.engine.settings.data_dir / "workers").glob("*.lock"))
    stray, young, held = (own.with_name(f"{name}.lock") for name in ("stray", "young", "held"))
    for path in (own, stray, young, held):
        path.touch()
    long_ago = time.time() - worker_registry.STARTING_S - 60
    for path in (own, stray, held):
        os.utime(path, (long_ago, long_ago))
    with held.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        await retention.remove_orphaned_files(sync.engine)
    assert set(own.parent.glob("*.lock")) == {own, young, held}


async def test_file_of_a_former_version_is_deleted(tmp_path: Path) -> None:
    """The file of version 0.1.0's workflow engine is deleted with its log."""
    async with syncing(tmp_path) as sync:
        former = [f"iterable-sync-workflows.sqlite{end}" for end in ("", "-wal", "-shm")]
        data_dir = sync.engine.settings.data_dir
        for name in former:
            (data_dir / name).touch()
        await retention.remove_orphaned_files(sync.engine)
        left = {path.name for path in data_dir.iterdir()}
        assert "iterable-sync.sqlite" in left
        assert not left & set(former)


async def test_the_log_is_truncated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's write-ahead log, grown during a long read, is truncated after its checkpoint."""
    monkeypatch.setattr(database, "WAL_LEFT_BYTES", 100_000)
    async with syncing(tmp_path) as sync:
        log = sync.engine.settings.data_dir / "iterable-sync.sqlite-wal"

        async def write(size: int) -> None:
            async with sync.engine.database.write() as db:
                await db.execute(text("CREATE TABLE IF NOT EXISTS much (what BLOB)"))
                await db.execute(text("INSERT INTO much VALUES (zeroblob(:size))"), {"size": size})

        async with sync.engine.database.read() as db:
            await db.execute(text("SELECT count(*) FROM runs"))
            await write(12_000_000)
        assert log.stat().st_size > 12_000_000

        async def is_truncated() -> bool:  # the engine reads, too, and a checkpoint waits for readers
            await write(10)
            return log.stat().st_size <= 100_000

        await until(is_truncated)


async def test_pass_of_retention_is_limited(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass deletes so many chunks at most, and none while the engine is stopping: the worker takes up no run then."""
    monkeypatch.setattr(retention, "CLEAR_ROWS", 1)
    monkeypatch.setattr(retention, "CHUNKS", 2)
    engine = sync.engine
    engine.settings = engine.settings.model_copy(update={"audit_retention_days": 30.0})
    async with engine.database.write() as db:
        for _ in range(3):
            await db.execute(insert(audit_log).values(at=1.0, actor="x", action="run.started", subject="run:x"))

    async def kept() -> int:
        await retention.drop_history(engine)
        async with engine.database.read() as db:
            return int((await db.execute(select(func.count()).select_from(audit_log))).scalar_one())

    engine.stopping.set()
    assert await kept() == 3
    engine.stopping.clear()
    assert await kept() == 1
    assert await kept() == 0
