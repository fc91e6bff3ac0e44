"""Requests leave evenly spaced, shared by all who use the project, and never too many in a second."""

import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from core.delivery.shared_rate_limiter import MISSED_S, SharedRateLimiter
from core.iterable import IterableClient, RequestStats
from core.store.database import Database
from core.store.tables import rate_limits
from sandbox.iterable import running
from tests.core.databases import new_sqlite
from tests.core.delivery.slots import least_span, use
from tests.core.iterable.conftest import LIST, QUICK


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite alone: what differs on PostgreSQL is in test_sharing and in the store's tests."""
    return new_sqlite(tmp_path)


@pytest.fixture
def nowhere(tmp_path: Path) -> Database:
    """A database that can't be opened."""
    return Database(f"sqlite:///{tmp_path}/missing/directory")


async def test_slots_are_evenly_spaced(database: Database) -> None:
    """From the first on, slots are an interval apart: there is no burst."""
    limiter = SharedRateLimiter(database, "p", 40)
    taken = [slots[0].at for slots in await asyncio.gather(*(use(limiter) for _ in range(12)))]
    assert least_span(taken, 1) > 1 / 40


async def test_slot_is_not_early(database: Database) -> None:
    """A slot is returned only when it has come."""
    limiter = SharedRateLimiter(database, "p", 40)
    for slot in await use(limiter, 5):
        assert slot.left_at >= slot.at


async def test_server_sees_no_window_too_full(database: Database) -> None:
    """A server that enforces a limit over a sliding second never has to."""
    # the pace is a little below the limit, as a machine that runs tests may be too busy to answer in time
    limit, rate = 20, 18
    traffic = RequestStats()
    async with (
        running(bulk_per_second=limit) as iterable,
        IterableClient(
            iterable.key,
            base_url=iterable.url,
            limiter=SharedRateLimiter(database, "p", rate),
            traffic=traffic,
            retry_policy=QUICK,
        ) as client,
    ):
        people = [("ann@example.com", None)]
        await asyncio.gather(*(client.subscribe(LIST, people) for _ in range(32)))
        arrivals = iterable.state.log.arrivals("/api/lists/subscribe")
    assert traffic == RequestStats(requests=32)
    assert least_span(arrivals, limit) > 1.0


async def test_late_departure_holds_back_the_next_window(database: Database) -> None:
    """The request that comes a window's worth after a late one keeps its distance from it."""
    limiter = SharedRateLimiter(database, "p", 20)
    first = await limiter.slot()
    await asyncio.sleep(0.2)
    limiter.mark_sent(first)
    rest = await asyncio.gather(*(use(limiter) for _ in range(20)))
    assert max(slots[0].left_at for slots in rest) - first.left_at > 1.0


async def test_missed_slot_is_given_up(database: Database) -> None:
    """Who wakes up long after the slot takes another."""
    limiter = SharedRateLimiter(database, "p", 5)
    await use(limiter)
    waiting = asyncio.create_task(use(limiter))
    while len(limiter._given) < 2:  # noqa: ASYNC110 — until it sleeps, which nothing announces
        await asyncio.sleep(0.001)
    woken = time.monotonic() + MISSED_S + 0.3
    time.sleep(MISSED_S + 0.3)  # noqa: ASYNC251 — the process is asleep
    assert (await waiting)[0].at >= woken - MISSED_S


async def test_throttling_pauses_who_waits(database: Database) -> None:
    """Who waits for a slot when a 429 comes waits for the pause too."""
    limiter = SharedRateLimiter(database, "p", 5)
    await use(limiter)
    waiting = asyncio.create_task(use(limiter))
    await asyncio.sleep(0.02)
    resumed = time.monotonic() + 0.4
    await limiter.on_throttled(0.4)
    assert (await waiting)[0].at >= resumed - 0.001


async def test_no_limit_needs_no_database(nowhere: Database) -> None:
    """Without a limit every slot is now, and the database is not asked."""
    limiter = SharedRateLimiter(nowhere, "p", 0)
    assert not limiter.is_paced
    assert len(await use(limiter, 1000)) == 1000


async def test_no_limit_is_paced_after_throttling(database: Database) -> None:
    """A 429 shows that there is a limit: from then on slots have a distance."""
    limiter = SharedRateLimiter(database, "p", 0)
    resumed = time.monotonic() + 0.1
    await limiter.on_throttled(0.1)
    taken = [slot.at for slot in await use(limiter, 5)]
    assert limiter.is_paced
    assert taken[0] >= resumed - 0.001
    assert least_span(taken, 1) > 0.01


async def test_endpoint_has_a_pace_of_its_own(database: Database) -> None:
    """The limit of a single endpoint does not slow the others."""
    limiter = SharedRateLimiter(database, "p", 5)
    await use(limiter.endpoint("size", 5 / 60))
    await use(limiter, 2)
    async with database.read() as connection:
        assert set(await connection.scalars(select(rate_limits.c.rate_limit_key))) == {"p", "p:size"}


async def test_no_limit_is_for_endpoints_too(nowhere: Database) -> None:
    """Without a limit for the project there is none for an endpoint."""
    assert len(await use(SharedRateLimiter(nowhere, "p", 0).endpoint("size", 5 / 60), 3)) == 3


async def test_cancelled_waits_leave_the_pace_usable(database: Database) -> None:
    """Whoever stops waiting, at whatever moment, leaves neither a lock nor a turn behind."""
    limiter = SharedRateLimiter(database, "p", 1000)
    for pause in range(30):
        waiting = [asyncio.create_task(use(limiter)) for _ in range(4)]
        await asyncio.sleep(pause / 10_000)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert len(await use(limiter, 3)) == 3
