"""Requests are sent at even intervals, shared by all users of the project, and never too many within a second."""

import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from core.delivery.shared_rate_limiter import FALLBACK_RATE, MISSED_S, SharedRateLimiter, SharedRateLimiters
from core.iterable import IterableClient, RequestStats
from core.store.database import Database
from core.store.permits import LEAST_INTERVAL
from core.store.tables import rate_limits
from sandbox.iterable import running
from tests.core.databases import new_sqlite
from tests.core.delivery.slots import least_span, use
from tests.core.iterable.conftest import LIST, QUICK


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite only: PostgreSQL's differences are in test_shared_rate_limiter and in the store's tests."""
    return new_sqlite(tmp_path)


@pytest.fixture
def unreachable_database(tmp_path: Path) -> Database:
    """A database that can't be opened."""
    return Database(f"sqlite:///{tmp_path}/missing/directory")


async def test_slots_have_a_distance(database: Database) -> None:
    """Slots keep a distance from the first on, without a burst, also if a busy machine makes up for lost time."""
    limiter = SharedRateLimiter(database, "p", 40)
    times = [slots[0].at for slots in await asyncio.gather(*(use(limiter) for _ in range(12)))]
    assert least_span(times, 1) > LEAST_INTERVAL / 40 - 0.001


async def test_slot_is_never_early(database: Database) -> None:
    """A slot is returned only once its time has come."""
    limiter = SharedRateLimiter(database, "p", 40)
    for slot in await use(limiter, 5):
        assert slot.left_at >= slot.at


async def test_server_never_throttles(database: Database) -> None:
    """A server that enforces a limit over a sliding second never answers 429."""
    # the rate is a little below the limit, since a busy machine may answer late
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
    """The first request of the next window keeps its distance from one that was sent late."""
    limiter = SharedRateLimiter(database, "p", 20)
    first = await limiter.slot()
    await asyncio.sleep(0.2)
    limiter.mark_sent(first)
    later = await asyncio.gather(*(use(limiter) for _ in range(20)))
    assert max(slots[0].left_at for slots in later) - first.left_at > 1.0


async def test_late_departure_holds_back_other_clients(database: Database) -> None:
    """The clients of a process keep the distance from a request that one of them sent late."""
    limiters = SharedRateLimiters(database)
    one, other = (limiters.of("p", 20).for_client() for _ in range(2))
    first = await one.slot()
    await asyncio.sleep(0.2)
    one.mark_sent(first)
    later = await asyncio.gather(*(use(other) for _ in range(20)))
    assert max(slots[0].left_at for slots in later) - first.left_at > 1.0


async def test_clients_take_turns(database: Database) -> None:
    """A client with one request does not wait until another one of its process has sent all of its own."""
    shared = SharedRateLimiter(database, "p", 100)
    many, one = shared.for_client(), shared.for_client()
    tasks = [asyncio.create_task(use(many)) for _ in range(60)]
    await asyncio.sleep(0)
    await use(one)
    assert sum(task.done() for task in tasks) < 40
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_missed_slot_is_replaced(database: Database) -> None:
    """A task that wakes long after its slot takes another one."""
    limiter = SharedRateLimiter(database, "p", 5)
    (first,) = await use(limiter)
    task = asyncio.create_task(use(limiter))
    while limiter._taken_until <= first.at:  # noqa: ASYNC110 — no event signals that the task sleeps
        await asyncio.sleep(0.001)
    woken = time.monotonic() + MISSED_S + 0.3
    time.sleep(MISSED_S + 0.3)  # noqa: ASYNC251 — the process is asleep
    assert (await task)[0].at >= woken - MISSED_S


async def test_throttling_pauses_waiting_tasks(database: Database) -> None:
    """A 429 also delays tasks that already wait for a slot."""
    limiter = SharedRateLimiter(database, "p", 5)
    await use(limiter)
    task = asyncio.create_task(use(limiter))
    await asyncio.sleep(0.02)
    resumed = time.monotonic() + 0.4
    await limiter.on_throttled(0.4)
    assert (await task)[0].at >= resumed - 0.001


async def test_no_limit_needs_no_database(unreachable_database: Database) -> None:
    """Without a limit, every slot is now and the database is not used."""
    limiter = SharedRateLimiter(unreachable_database, "p", 0)
    assert not limiter.is_paced
    assert len(await use(limiter, 1000)) == 1000


async def test_no_limit_is_paced_after_throttling(database: Database) -> None:
    """A 429 proves that there is a limit, so slots are spaced from then on."""
    limiter = SharedRateLimiter(database, "p", 0)
    resumed = time.monotonic() + 0.1
    await limiter.on_throttled(0.1)
    times = [slot.at for slot in await use(limiter, 5)]
    assert limiter.is_paced
    assert times[0] >= resumed - 0.001
    assert least_span(times, 1) > LEAST_INTERVAL / FALLBACK_RATE - 0.001


async def test_endpoint_has_its_own_rate(database: Database) -> None:
    """The limit of one endpoint does not slow down the others."""
    limiter = SharedRateLimiter(database, "p", 5)
    await use(limiter.endpoint("size", 5 / 60))
    await use(limiter, 2)
    async with database.read() as connection:
        assert set(await connection.scalars(select(rate_limits.c.rate_limit_key))) == {"p", "p:size"}


async def test_no_limit_for_endpoints(unreachable_database: Database) -> None:
    """Without a limit for the project, an endpoint has none either."""
    assert len(await use(SharedRateLimiter(unreachable_database, "p", 0).endpoint("size", 5 / 60), 3)) == 3


async def test_cancelled_waits_leave_the_limiter_usable(database: Database) -> None:
    """A cancelled wait leaves neither a lock nor a slot behind, whenever it is cancelled."""
    limiter = SharedRateLimiter(database, "p", 1000)
    for pause in range(30):
        tasks = [asyncio.create_task(use(limiter)) for _ in range(4)]
        await asyncio.sleep(pause / 10_000)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert len(await use(limiter, 3)) == 3
