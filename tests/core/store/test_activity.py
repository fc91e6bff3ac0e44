"""Loops rest while nothing is committed, and look again when any process commits something."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.engine import Engine, open_engine
from core.lease import LeaseTimes
from core.settings import Settings
from core.store import activity, idempotency_keys, run_queue
from core.store.database import Database
from tests.core.store.seeds import add_connection

#: Longer than any test.
LONG_S = 3600.0
LOOK_S = 0.01


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.at = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which commits are recent."""
    clock = Clock()
    monkeypatch.setattr(activity, "time", clock)
    return clock


@asynccontextmanager
async def process(directory: Path, database_url: str, name: str) -> AsyncIterator[Engine]:
    """Open the engine of a process that listens to others."""
    settings = Settings(
        data_dir=directory,
        database_url=SecretStr(database_url) if database_url.startswith("postgresql") else None,
        _env_file=None,  # type: ignore[call-arg]
    )
    async with (
        open_engine(settings, name, times=LeaseTimes(heartbeat_s=LONG_S)) as engine,
        run_queue.listening(engine.database, database_url, engine.queued),
    ):
        yield engine


async def until_quiet(database: Database, clock: Clock) -> None:
    """Wait until a process knows of all commits so far, and let them become old."""
    async with asyncio.timeout(30):
        while not database.is_quiet:
            clock.at += activity.STAYS_S
            await asyncio.sleep(LOOK_S)


async def test_loops_rest_until_a_process_commits(tmp_path: Path, database_url: str, clock: Clock) -> None:
    """A loop rests through heartbeats, and looks again when this process or another one commits something."""
    async with process(tmp_path, database_url, "other") as other, process(tmp_path, database_url, "one") as one:
        for writer in (one, other):
            await until_quiet(one.database, clock)
            resting = asyncio.create_task(one.rest(LOOK_S, LONG_S, one.database.activity.count))
            async with one.database.write(is_news=False) as db:
                await idempotency_keys.drop_old(db)
            await asyncio.sleep(10 * LOOK_S)
            assert not resting.done()
            await add_connection(writer.database, writer.presence.id)
            async with asyncio.timeout(30):
                await resting


async def test_commit_during_a_look_ends_the_next_rest(tmp_path: Path, database_url: str, clock: Clock) -> None:
    """A loop that looked before a commit, and was held up for longer than commits are recent, looks again."""
    async with process(tmp_path, database_url, "one") as one:
        await until_quiet(one.database, clock)
        seen = one.database.activity.count
        await add_connection(one.database, one.presence.id)
        clock.at += activity.STAYS_S
        async with asyncio.timeout(30):
            await one.rest(LOOK_S, LONG_S, seen)


@pytest.mark.parametrize("event", ["queued", "stopping"])
async def test_rest_ends_with_an_event(tmp_path: Path, database_url: str, clock: Clock, event: str) -> None:
    """An event ends a rest, whatever is committed, and so does the end of the process."""
    async with process(tmp_path, database_url, "one") as one:
        await until_quiet(one.database, clock)
        resting = asyncio.create_task(one.rest(LONG_S, LONG_S, one.database.activity.count, one.queued))
        getattr(one, event).set()
        async with asyncio.timeout(30):
            await resting


async def test_process_without_notifications_does_not_rest(postgresql_server: str, clock: Clock) -> None:
    """Behind a pooler, a process gets no notifications. So it never takes the database for quiet."""
    database = Database(postgresql_server)
    clock.at += activity.STAYS_S
    assert not database.is_quiet
    await database.close()
