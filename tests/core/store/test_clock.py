"""Stored times come from the database's clock, whatever the clocks of the processes show."""

import re
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from core.models.run import RunStatus
from core.runs import worker
from core.store import clock
from core.store.database import Database, parsed
from tests.clocks import set_database_clock, set_process_clock
from tests.core.databases import new_postgresql, without
from tests.core.harness import people, syncing
from tests.documents import ROOT

HOUR = 3600.0
# What reads the clock of the machine, and why. No stored time comes from it or is compared with it.
OWN_CLOCK = {
    "core/store/clock.py": "it is SQLite's clock",
    "core/store/forgotten_files.py": "times of files",
    "core/privacy/retention.py": "times of files",
    "core/worker_registry.py": "times of files",
    "core/store/migrations/versions/0020_run_indexes.py": "on upgrade",
    "core/automation/times.py": "whether a cron expression is ever due",
    "core/firehose/schema.py": "the stamp of an answer",
    "core/notifications/webhook.py": "the stamp of a signature, which its receiver compares with its own clock",
    "core/iterable/responses.py": "a date in an answer",
    "core/iterable/probe.py": "how far this clock is off",
    "bot/slack/token_rotation.py": "slack-sdk goes by it",
    "bot/slack/installation_store.py": "slack-sdk goes by it; its times are converted when they are stored",
}
_READS = re.compile(r"\btime\.time(_ns)?\b|\bdatetime\.(now|utcnow|today)\(|\bdate\.today\(")


def test_who_reads_the_clock_of_the_machine() -> None:
    """Nothing reads the clock of the machine but for times that are not stored."""
    reading = {
        path.relative_to(ROOT).as_posix()
        for package in ("core", "bot")
        for path in (ROOT / package).rglob("*.py")
        if _READS.search(path.read_text(encoding="utf-8"))
    }
    assert reading == OWN_CLOCK.keys()


async def test_database_time(database: Database) -> None:
    """The database's clock shows the current time, on both databases and in all forms."""
    async with database.read() as db:
        text = parsed(f"SELECT {clock.AT_START_TEXT[db.dialect.name]}")
        shown = [
            await clock.now(db),
            *(await db.execute(select(clock.AT_START, clock.expression(db)))).one(),
            (await db.execute(text, clock.parameters(db))).scalar_one(),
        ]
    assert all(abs(float(each) - time.time()) < 60 for each in shown)


def test_statements_are_compiled_once() -> None:
    """SQLAlchemy keeps the text of a statement with the time: to compile one takes milliseconds."""
    assert select(clock.AT_START)._generate_cache_key() is not None


async def test_time_of_a_statement(database: Database) -> None:
    """In a transaction, the time of each statement is later than that of the one before."""
    async with database.write() as db:
        before, after = [(await db.execute(select(clock.AT_START))).scalar_one() for _ in range(2)]
    assert before < after


async def test_moved_clock(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests can set the database's clock, and that of the program apart from it."""
    await set_database_clock(database, monkeypatch, by=HOUR)
    set_process_clock(monkeypatch, -HOUR)
    async with database.read() as db:
        shown = [await clock.now(db), *(await db.execute(select(clock.AT_START, clock.expression(db)))).one()]
    assert all(abs(float(each) - time.time() - 2 * HOUR) < 60 for each in shown)


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
