"""Slots of a project's rate limit, on SQLite and PostgreSQL, with a clock that the tests set."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from sqlalchemy import insert, select, text

from core.store import clock, metrics, rate_limits
from core.store.database import Database
from core.store.rate_limits import Reservation
from core.store.tables import rate_limits as rate_limits_table
from tests.core.store.seeds import add_connection

INTERVAL = 0.25
NOON = 1_700_000_000.0

Reserve = Callable[..., Awaitable[Reservation]]
Throttle = Callable[..., Awaitable[None]]


@pytest.fixture
def reserve(database: Database) -> Reserve:
    """Reserve slots at a time, by default one at noon."""

    async def reserve_slots(
        now: float = NOON, count: int = 1, late: float = 0.0, project: str = "p", interval: float = INTERVAL
    ) -> Reservation:
        async with database.write() as connection:
            return await rate_limits.reserve(connection, project, interval, count=count, late=late, now=now)

    return reserve_slots


@pytest.fixture
def throttle(database: Database) -> Throttle:
    """Record a 429 at a time."""

    async def record_throttling(now: float, pause: float = 0.0) -> None:
        async with database.write() as connection:
            await rate_limits.slow_down(connection, "p", pause, now=now)

    return record_throttling


async def test_first_slot_is_now(reserve: Reserve) -> None:
    """The first slot is now."""
    assert await reserve() == (NOON, INTERVAL, NOON)


async def test_slots_follow_each_other(reserve: Reserve) -> None:
    """Each slot is one interval after the last, however often one is reserved."""
    offsets = [(await reserve()).first - NOON for _ in range(4)]
    assert offsets == pytest.approx([0.0, 0.25, 0.5, 0.75], abs=1e-5)


async def test_slots_of_a_block(reserve: Reserve) -> None:
    """Slots that are reserved together have the same interval as others."""
    block = await reserve(count=3)
    assert block.spacing == pytest.approx(INTERVAL)
    assert (await reserve()).first == pytest.approx(NOON + 3 * INTERVAL, abs=1e-5)


async def test_idle_time_is_lost(reserve: Reserve) -> None:
    """Slots after a pause have the same interval as before."""
    await reserve()
    assert (await reserve(NOON + 60)).first == pytest.approx(NOON + 60, abs=1e-5)
    assert (await reserve(NOON + 60)).first == pytest.approx(NOON + 60 + INTERVAL, abs=1e-5)


async def test_projects_are_independent(reserve: Reserve) -> None:
    """Each project has its own slots."""
    await reserve(count=100)
    assert (await reserve(project="other")).first == NOON


async def test_lateness_moves_later_slots(reserve: Reserve) -> None:
    """The delay of a request is added to all later slots, once."""
    await reserve()
    assert (await reserve(late=0.1)).first == pytest.approx(NOON + INTERVAL + 0.1, abs=1e-5)
    assert (await reserve()).first == pytest.approx(NOON + 2 * INTERVAL + 0.1, abs=1e-5)


async def test_slot_from_the_future_is_dropped(reserve: Reserve) -> None:
    """A slot an hour ahead is from another clock, and is dropped."""
    await reserve(NOON + 3600)
    assert (await reserve()).first == NOON


async def test_slot_within_the_horizon_is_kept(reserve: Reserve) -> None:
    """A small step back of the clock only causes a wait."""
    await reserve(NOON + 60)
    assert (await reserve()).first == pytest.approx(NOON + 60 + INTERVAL, abs=1e-5)


async def test_interval_beyond_the_horizon(reserve: Reserve) -> None:
    """An interval longer than the horizon still applies."""
    await reserve(interval=3000.0)
    assert (await reserve(interval=3000.0)).first == pytest.approx(NOON + 3000, abs=1e-3)


async def test_throttling_pauses_all_slots(reserve: Reserve, throttle: Throttle) -> None:
    """After a 429, there is no slot until the pause is over."""
    await reserve()
    await throttle(NOON, pause=30.0)
    assert (await reserve()).first == pytest.approx(NOON + 30, abs=1e-5)


async def test_shorter_pause_does_not_end_a_longer_one(reserve: Reserve, throttle: Throttle) -> None:
    """Of two pauses, the later end counts."""
    await throttle(NOON, pause=30.0)
    await throttle(NOON + 1, pause=1.0)
    assert (await reserve(NOON + 2)).first == pytest.approx(NOON + 30, abs=1e-5)


async def test_throttling_slows_down(reserve: Reserve, throttle: Throttle) -> None:
    """After a 429, the interval is longer."""
    await reserve()
    await throttle(NOON)
    assert (await reserve()).spacing == pytest.approx(INTERVAL * rate_limits.SLOWDOWN)


async def test_burst_of_throttling_counts_once(reserve: Reserve, throttle: Throttle) -> None:
    """Several 429s for requests sent at the same time count once."""
    for number in range(10):
        await throttle(NOON + number * 0.1)
    assert (await reserve()).spacing == pytest.approx(INTERVAL * rate_limits.SLOWDOWN)


async def test_repeated_throttling_slows_down_more(reserve: Reserve, throttle: Throttle) -> None:
    """A 429 soon after the last one makes the interval longer still."""
    await throttle(NOON)
    await throttle(NOON + 10)
    expected = (rate_limits.SLOWDOWN - 10 * rate_limits.RECOVERY_PER_S) * rate_limits.SLOWDOWN_AGAIN
    assert (await reserve(NOON + 10)).spacing == pytest.approx(INTERVAL * expected)


async def test_slowdown_has_a_limit(reserve: Reserve, throttle: Throttle) -> None:
    """The slowdown has a maximum, however many 429s come."""
    for number in range(40):
        await throttle(NOON + 10 * number)
    assert (await reserve(NOON + 390)).spacing == pytest.approx(INTERVAL * rate_limits.MAX_SLOWDOWN)


async def test_slowdown_recovers(reserve: Reserve, throttle: Throttle) -> None:
    """The rate recovers with time, up to the configured one."""
    await throttle(NOON)
    spacings = [(await reserve(NOON + seconds)).spacing / INTERVAL for seconds in (0, 5, 15, 20, 1000)]
    assert spacings == pytest.approx([1.02, 1.015, 1.005, 1.0, 1.0])


async def test_metrics_recover(database: Database) -> None:
    """The metrics show what is left of a slowdown now, and full speed without one."""
    await add_connection(database, rate_limit_key="p")
    async with database.write() as db:
        assert ((await metrics.read(db)).slowdown, (await metrics.read(db)).rate) == (1.0, 5.0)
        now = await clock.now(db)
        row = {"rate_limit_key": "p", "next_at": now, "slowdown": 6.0, "throttled_at": now - 1000.0}
        await db.execute(insert(rate_limits_table).values(row))
        left = await metrics.read(db)
    assert left.slowdown == pytest.approx(5.0, abs=0.1)
    assert left.rate == pytest.approx(1.0, abs=0.1)


async def test_recovery_survives_a_clock_that_jumped_back(reserve: Reserve, throttle: Throttle) -> None:
    """A 429 that seems to be from the future counts as from now."""
    await throttle(NOON + 3600)
    await reserve(NOON)
    assert (await reserve(NOON + 25)).spacing == pytest.approx(INTERVAL)


async def test_default_time_is_the_databases(database: Database) -> None:
    """The default time is the database's, which is this machine's in tests."""
    async with database.write() as connection:
        reservation = await rate_limits.reserve(connection, "p", INTERVAL)
        await rate_limits.slow_down(connection, "p", 10.0)
        row = (await connection.execute(select(rate_limits_table))).one()
    assert abs(reservation.now - time.time()) < 60
    assert reservation.now <= row.throttled_at
    assert row.next_at == pytest.approx(row.throttled_at + 10.0, abs=0.01)


async def test_slots_are_unique(database: Database, database_url: str) -> None:
    """Connections that reserve at the same time never share a slot."""
    other = Database(database_url)

    async def take(each_database: Database) -> float:
        async with each_database.write() as connection:
            return (await rate_limits.reserve(connection, "p", INTERVAL)).first

    try:
        slots = sorted(await asyncio.gather(*(take(each_database) for each_database in [database, other] * 15)))
    finally:
        await other.close()
    assert min(later - earlier for earlier, later in pairwise(slots)) > INTERVAL - 0.001


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_reservation_does_not_wait_for_the_disk(database: Database) -> None:
    """PostgreSQL commits a reservation without waiting for its disk, and waits for it with all other transactions."""
    shown = text("SHOW synchronous_commit")
    async with database.write() as connection:
        await rate_limits.reserve(connection, "p", INTERVAL)
        assert await connection.scalar(shown) == "off"
    async with database.write() as connection:
        assert await connection.scalar(shown) == "on"
