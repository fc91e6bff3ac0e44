"""Processes that use the same project share its rate limit, on SQLite and on PostgreSQL."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.delivery import shared_rate_limiter
from core.delivery.shared_rate_limiter import SharedRateLimiter
from core.iterable.rate_limiter import Slot
from core.store import rate_limits
from core.store.database import Database
from tests.core.delivery.slots import least_span, use

# Each process converts the database's time to its own clock, which is wrong by some milliseconds on a busy machine. If
# they did not share the rate, it would be half a second.
ALMOST_A_SECOND = 0.98


@pytest.fixture
async def other(database: Database, database_url: str) -> AsyncIterator[Database]:
    """Another connection to the same database, as of another process."""
    other_database = Database(database_url)
    yield other_database
    await other_database.close()


async def test_rate_limiters_share_the_rate(database: Database, other: Database) -> None:
    """Two users of a project together take no more slots than one alone."""
    limiters = [SharedRateLimiter(each, "p", 20) for each in (database, other)]
    slot_lists = await asyncio.gather(*(use(limiter, 4) for limiter in limiters * 4))
    assert least_span([slot.at for slots in slot_lists for slot in slots], 20) > ALMOST_A_SECOND


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
    """Two processes together take no more slots than one alone."""
    times: list[float] = []
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", _TAKE, database_url, stdout=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    for process in processes:
        output, _ = await process.communicate()
        times.extend(map(float, output.split()))
    assert len(times) == 32
    assert least_span(times, 20) > ALMOST_A_SECOND


async def test_late_departure_holds_back_other_processes(database: Database, other: Database) -> None:
    """Users of a shared rate limit keep a window's distance from a request that was sent late."""
    own, others = (SharedRateLimiter(each, "p", 20) for each in (database, other))
    first = await own.slot()
    time.sleep(0.04)  # noqa: ASYNC251 — it connects
    own.mark_sent(first)
    await use(own)
    slots = await asyncio.gather(*(use(limiter) for limiter in [others] * 19 + [own] * 2))
    assert least_span([first.left_at, *(slot.at for (slot,) in slots)], 20) > ALMOST_A_SECOND


async def test_last_departure_holds_back_other_processes(database: Database, other: Database) -> None:
    """A process whose last request left late tells the others, although it no longer needs a slot."""
    own, others = (SharedRateLimiter(each, "p", 20) for each in (database, other))
    last = await own.slot()
    time.sleep(0.1)  # noqa: ASYNC251 — the process is busy
    own.mark_sent(last)
    await own.mark_answered()
    slots = await asyncio.gather(*(use(others) for _ in range(20)))
    assert max(slot.at for (slot,) in slots) - last.left_at > ALMOST_A_SECOND


async def test_answer_survives_a_fault_of_the_database(tmp_path: Path) -> None:
    """A late request's answer counts although this process can't tell the others now."""
    database = Database(f"sqlite:///{tmp_path}/without_tables.sqlite3")
    limiter = SharedRateLimiter(database, "p", 20)
    limiter.mark_sent(Slot(time.monotonic() - 1.0))
    await limiter.mark_answered()
    await database.close()


async def test_slots_are_reserved_shortly_before(database: Database, other: Database) -> None:
    """However many requests wait, a late request can hold back the one a window later: it has no slot yet."""
    limiters = [SharedRateLimiter(each, "p", 20) for each in (database, other)]
    waiting = [asyncio.create_task(use(limiter)) for _ in range(30) for limiter in limiters]
    await asyncio.gather(*waiting[:10])
    async with database.write() as connection:
        following = await rate_limits.reserve(connection, "p", 20)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert following.slots[0].at - following.now < 1.0


async def test_late_slot_is_used_after_a_few_misses(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that misses every slot, because its machine is too busy, uses one all the same after a few."""
    monkeypatch.setattr(shared_rate_limiter, "MISSED_S", -1.0)  # every slot counts as missed
    async with database.write() as connection:
        first = (await rate_limits.reserve(connection, "p", 5)).slots[0].at
    await SharedRateLimiter(database, "p", 5).slot()
    async with database.write() as connection:
        following = (await rate_limits.reserve(connection, "p", 5)).slots[0].at
    assert round((following - first) * 5) == 1 + shared_rate_limiter.MISSES


async def test_throttling_pauses_other_processes(database: Database, other: Database) -> None:
    """A 429 pauses all users of the project."""
    own, others = (SharedRateLimiter(each, "p", 5) for each in (database, other))
    resumed = time.monotonic() + 0.3
    await own.on_throttled(0.3)
    assert (await use(others))[0].at >= resumed - 0.001
