"""Slots of a project's pace, on SQLite and PostgreSQL, by a clock that the tests set."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from sqlalchemy import select

from core.store import rate_limits
from core.store.database import Database
from core.store.rate_limits import Reservation
from core.store.tables import rate_limits as pace_table

INTERVAL = 0.25
NOON = 1_700_000_000.0

Reserve = Callable[..., Awaitable[Reservation]]
Throttle = Callable[..., Awaitable[None]]


@pytest.fixture
def reserve(database: Database) -> Reserve:
    """Reserves slots at a time, by default one at noon."""

    async def reserving(
        now: float = NOON, count: int = 1, late: float = 0.0, project: str = "p", interval: float = INTERVAL
    ) -> Reservation:
        async with database.write() as connection:
            return await rate_limits.reserve(connection, project, interval, count=count, late=late, now=now)

    return reserving


@pytest.fixture
def throttle(database: Database) -> Throttle:
    """Notes a 429 at a time."""

    async def throttling(now: float, pause: float = 0.0) -> None:
        async with database.write() as connection:
            await rate_limits.slow_down(connection, "p", pause, now=now)

    return throttling


async def test_first_slot_is_now(reserve: Reserve) -> None:
    """Who comes first may send at once."""
    assert await reserve() == (NOON, INTERVAL, NOON)


async def test_slots_follow_each_other(reserve: Reserve) -> None:
    """Each slot is an interval after the last, however often it is asked for."""
    found = [(await reserve()).first - NOON for _ in range(4)]
    assert found == pytest.approx([0.0, 0.25, 0.5, 0.75], abs=1e-5)


async def test_block_takes_its_slots(reserve: Reserve) -> None:
    """Slots that are reserved together are as far apart as others."""
    block = await reserve(count=3)
    assert block.spacing == pytest.approx(INTERVAL)
    assert (await reserve()).first == pytest.approx(NOON + 3 * INTERVAL, abs=1e-5)


async def test_idle_time_is_not_made_up(reserve: Reserve) -> None:
    """After a pause slots are no closer together than ever."""
    await reserve()
    assert (await reserve(NOON + 60)).first == pytest.approx(NOON + 60, abs=1e-5)
    assert (await reserve(NOON + 60)).first == pytest.approx(NOON + 60 + INTERVAL, abs=1e-5)


async def test_projects_do_not_wait_for_each_other(reserve: Reserve) -> None:
    """Each project has a pace of its own."""
    await reserve(count=100)
    assert (await reserve(project="other")).first == NOON


async def test_lateness_moves_later_slots(reserve: Reserve) -> None:
    """What a request was late is added once, for everybody."""
    await reserve()
    assert (await reserve(late=0.1)).first == pytest.approx(NOON + INTERVAL + 0.1, abs=1e-5)
    assert (await reserve()).first == pytest.approx(NOON + 2 * INTERVAL + 0.1, abs=1e-5)


async def test_clock_that_jumped_back_does_not_stall(reserve: Reserve) -> None:
    """A slot an hour ahead was made by another clock, and is thrown away."""
    await reserve(NOON + 3600)
    assert (await reserve()).first == NOON


async def test_slot_within_the_horizon_is_kept(reserve: Reserve) -> None:
    """A small step back of the clock only means a wait."""
    await reserve(NOON + 60)
    assert (await reserve()).first == pytest.approx(NOON + 60 + INTERVAL, abs=1e-5)


async def test_low_rate_may_look_far_ahead(reserve: Reserve) -> None:
    """An interval longer than the horizon is an interval all the same."""
    await reserve(interval=3000.0)
    assert (await reserve(interval=3000.0)).first == pytest.approx(NOON + 3000, abs=1e-3)


async def test_throttling_pauses_everybody(reserve: Reserve, throttle: Throttle) -> None:
    """After a 429 nobody gets a slot until the pause is over."""
    await reserve()
    await throttle(NOON, pause=30.0)
    assert (await reserve()).first == pytest.approx(NOON + 30, abs=1e-5)


async def test_shorter_pause_does_not_end_a_longer_one(reserve: Reserve, throttle: Throttle) -> None:
    """Of two pauses the later end counts."""
    await throttle(NOON, pause=30.0)
    await throttle(NOON + 1, pause=1.0)
    assert (await reserve(NOON + 2)).first == pytest.approx(NOON + 30, abs=1e-5)


async def test_throttling_slows_down(reserve: Reserve, throttle: Throttle) -> None:
    """After a 429 slots are further apart."""
    await reserve()
    await throttle(NOON)
    assert (await reserve()).spacing == pytest.approx(INTERVAL * rate_limits.SLOWDOWN)


async def test_burst_of_throttling_counts_once(reserve: Reserve, throttle: Throttle) -> None:
    """Answers to requests that were on their way together are one event."""
    for number in range(10):
        await throttle(NOON + number * 0.1)
    assert (await reserve()).spacing == pytest.approx(INTERVAL * rate_limits.SLOWDOWN)


async def test_throttling_again_slows_down_more(reserve: Reserve, throttle: Throttle) -> None:
    """A 429 soon after the last says that the rate is too high."""
    await throttle(NOON)
    await throttle(NOON + 10)
    expected = (rate_limits.SLOWDOWN - 10 * rate_limits.RECOVERY_PER_S) * rate_limits.SLOWDOWN_AGAIN
    assert (await reserve(NOON + 10)).spacing == pytest.approx(INTERVAL * expected)


async def test_slowdown_has_a_limit(reserve: Reserve, throttle: Throttle) -> None:
    """However many 429s come, some requests still leave."""
    for number in range(40):
        await throttle(NOON + 10 * number)
    assert (await reserve(NOON + 390)).spacing == pytest.approx(INTERVAL * rate_limits.MAX_SLOWDOWN)


async def test_slowdown_is_taken_back_slowly(reserve: Reserve, throttle: Throttle) -> None:
    """The pace recovers with time, and no further than the set rate."""
    await throttle(NOON)
    spacings = [(await reserve(NOON + after)).spacing / INTERVAL for after in (0, 5, 15, 20, 1000)]
    assert spacings == pytest.approx([1.02, 1.015, 1.005, 1.0, 1.0])


async def test_recovery_survives_a_clock_that_jumped_back(reserve: Reserve, throttle: Throttle) -> None:
    """A 429 that seems to come from the future is taken to be of now."""
    await throttle(NOON + 3600)
    await reserve(NOON)
    assert (await reserve(NOON + 25)).spacing == pytest.approx(INTERVAL)


async def test_real_clock_is_the_databases(database: Database) -> None:
    """Without a time given the clock is used: here both kinds of database have this machine's."""
    async with database.write() as connection:
        found = await rate_limits.reserve(connection, "p", INTERVAL)
        await rate_limits.slow_down(connection, "p", 10.0)
        row = (await connection.execute(select(pace_table))).one()
    assert abs(found.now - time.time()) < 60
    assert found.now <= row.throttled_at
    assert row.next_at == pytest.approx(row.throttled_at + 10.0, abs=0.01)


async def test_slots_are_taken_by_one_only(database: Database, database_url: str) -> None:
    """Connections that reserve at the same time never share a slot."""
    other = Database(database_url)

    async def take(of: Database) -> float:
        async with of.write() as connection:
            return (await rate_limits.reserve(connection, "p", INTERVAL)).first

    try:
        found = sorted(await asyncio.gather(*(take(of) for of in [database, other] * 15)))
    finally:
        await other.close()
    assert min(later - earlier for earlier, later in pairwise(found)) > INTERVAL - 0.001
