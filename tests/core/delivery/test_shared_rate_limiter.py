"""Processes that use the same project share its pace, on SQLite and on PostgreSQL."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import pytest

from core.delivery.shared_rate_limiter import SharedRateLimiter
from core.store.database import Database
from tests.core.delivery.slots import least_span, use

# Each process reckons the database's clock in its own: on a busy machine that is wrong by some milliseconds. If they
# did not share the rate, it would be half a second.
ALMOST_A_SECOND = 0.98


@pytest.fixture
async def other(database: Database, database_url: str) -> AsyncIterator[Database]:
    """The same database, opened once more, as another process would."""
    opened = Database(database_url)
    yield opened
    await opened.close()


async def test_limiters_share_the_rate(database: Database, other: Database) -> None:
    """Two who use a project take no more slots together than one alone."""
    limiters = [SharedRateLimiter(of, "p", 20) for of in (database, other)]
    taken = await asyncio.gather(*(use(limiter, 4) for limiter in limiters * 4))
    assert least_span([slot.at for slots in taken for slot in slots], 20) > ALMOST_A_SECOND


_TAKE = """
import asyncio, sys
from core.delivery.shared_rate_limiter import SharedRateLimiter
from core.store.database import Database

async def main():
    database = Database(sys.argv[1])
    limiter = SharedRateLimiter(database, "p", 20)
    async def use():
        for _ in range(4):
            slot = await limiter.slot()
            limiter.mark_sent(slot)
            print(slot.at)
    await asyncio.gather(*(use() for _ in range(4)))
    await database.close()

asyncio.run(main())
"""


async def test_processes_share_the_rate(database: Database, database_url: str) -> None:
    """Two processes take no more slots together than one alone."""
    taken: list[float] = []
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", _TAKE, database_url, stdout=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    for process in processes:
        told, _ = await process.communicate()
        taken.extend(map(float, told.split()))
    assert len(taken) == 32
    assert least_span(taken, 20) > ALMOST_A_SECOND


async def test_late_departure_moves_shared_slots(database: Database, other: Database) -> None:
    """Where others share the pace, they make room for a request that left late."""
    mine, theirs = (SharedRateLimiter(of, "p", 20) for of in (database, other))
    await asyncio.gather(*(use(limiter, 2) for limiter in (mine, theirs) * 3))
    late = await mine.slot()
    time.sleep(0.04)  # noqa: ASYNC251 — the process is busy
    mine.mark_sent(late)
    (following,) = await use(mine)
    assert following.at - late.at > 1 / 20 + 0.03


async def test_throttling_pauses_other_processes(database: Database, other: Database) -> None:
    """A 429 pauses everybody who shares the project."""
    mine, theirs = (SharedRateLimiter(of, "p", 5) for of in (database, other))
    resumed = time.monotonic() + 0.3
    await mine.on_throttled(0.3)
    assert (await use(theirs))[0].at >= resumed - 0.001
