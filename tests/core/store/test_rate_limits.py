"""Slots of a project's rate limit, on SQLite and PostgreSQL, with a clock that the tests set."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise

import pytest
from sqlalchemy import insert, select, text

from core.store import clock, metrics, rate_limits
from core.store.database import Database
from core.store.permits import Use
from core.store.run_totals import RunTotals
from core.store.tables import rate_limits as rate_limits_table
from tests.core.store.seeds import add_connection

RATE = 4.0
INTERVAL = 1 / RATE
NOON = 1_700_000_000.0

Reserve = Callable[..., Awaitable[list[float]]]
Throttle = Callable[..., Awaitable[None]]

_COUNTED = "added updated removed unchanged duplicates rejected requests retries throttled"
NO_RUNS = RunTotals({}, dict.fromkeys(_COUNTED.split(), 0))


@pytest.fixture
def reserve(database: Database) -> Reserve:
    """Reserve slots at a time, by default one at noon. Returns how many seconds after noon they are."""

    async def reserve_slots(
        now: float = NOON, count: int = 1, late: Sequence[Use] = (), project: str = "p", rate: float = RATE
    ) -> list[float]:
        async with database.write() as connection:
            reservation = await rate_limits.reserve(connection, project, rate, count=count, late=late, now=now)
        assert reservation.now == now
        return [slot.at - NOON for slot in reservation.slots]

    return reserve_slots


@pytest.fixture
def throttle(database: Database) -> Throttle:
    """Record a 429 at a time."""

    async def record_throttling(now: float, pause: float = 0.0) -> None:
        async with database.write() as connection:
            await rate_limits.slow_down(connection, "p", pause, now=now)

    return record_throttling


async def _interval(reserve: Reserve, seconds: float) -> float:
    """The interval of two slots so many seconds after noon, as a multiple of the one that the rate permits."""
    first, second = await reserve(NOON + seconds, count=2)
    return (second - first) / INTERVAL


def _about(*seconds: float) -> object:
    return pytest.approx(seconds, abs=3e-4)


async def test_first_slot_is_now(reserve: Reserve) -> None:
    """The first slot is now."""
    assert await reserve() == [0.0]


async def test_slots_follow_each_other(reserve: Reserve) -> None:
    """Each slot is one interval after the last, however often one is reserved."""
    slots = [slot for _ in range(6) for slot in await reserve()]
    assert slots == _about(0.0, 0.25, 0.5, 0.75, 1.0, 1.25)


async def test_slots_of_a_block(reserve: Reserve) -> None:
    """Slots that are reserved together have the same interval as others."""
    assert await reserve(count=3) == _about(0.0, 0.25, 0.5)
    assert await reserve() == _about(0.75)


async def test_margin_widens_slots(database: Database) -> None:
    """The share by which windows are longer applies to all intervals."""
    async with database.write() as connection:
        reservation = await rate_limits.reserve(connection, "p", RATE, margin=0.1, count=5, now=NOON)
    assert [slot.at - NOON for slot in reservation.slots] == _about(0.0, 0.275, 0.55, 0.825, 1.1)


async def test_idle_time_is_lost(reserve: Reserve) -> None:
    """Slots after a pause have the same interval as before."""
    await reserve()
    assert await reserve(NOON + 60, count=2) == _about(60.0, 60.25)


async def test_projects_are_independent(reserve: Reserve) -> None:
    """Each project has its own slots."""
    await reserve(count=100)
    assert await reserve(project="other") == [0.0]


async def test_lateness_moves_one_slot(reserve: Reserve) -> None:
    """The delay of a request is added to the slot a window later, and to no other."""
    await reserve(count=4)
    assert await reserve(late=[Use(0, NOON + 0.1)]) == _about(1.1)
    assert await reserve() == _about(1.25)


async def test_slot_from_the_future_is_dropped(reserve: Reserve) -> None:
    """A slot an hour ahead is from another clock, and is dropped."""
    await reserve(NOON + 3600)
    assert await reserve() == [0.0]


async def test_pause_from_the_future_is_dropped(reserve: Reserve, throttle: Throttle) -> None:
    """The end of a pause an hour ahead is from another clock, and is dropped."""
    await throttle(NOON + 3600, pause=1.0)
    assert await reserve() == [0.0]


async def test_slot_within_the_horizon_is_kept(reserve: Reserve) -> None:
    """A small step back of the clock only causes a wait."""
    await reserve(NOON + 60, count=4)
    assert await reserve() == _about(61.0)


async def test_interval_beyond_the_horizon(reserve: Reserve) -> None:
    """An interval longer than the horizon still applies."""
    await reserve(rate=1 / 3000)
    assert await reserve(rate=1 / 3000) == pytest.approx([3000.0], abs=1e-3)


async def test_throttling_pauses_all_slots(reserve: Reserve, throttle: Throttle) -> None:
    """After a 429, there is no slot until the pause is over, and its time is not made up for."""
    await reserve(count=4)
    await throttle(NOON, pause=1.5)
    first, second = await reserve(count=2)
    assert first == pytest.approx(1.5, abs=3e-4)
    assert second - first > INTERVAL


async def test_shorter_pause_does_not_end_a_longer_one(reserve: Reserve, throttle: Throttle) -> None:
    """Of two pauses, the later end counts."""
    await throttle(NOON, pause=30.0)
    await throttle(NOON + 1, pause=1.0)
    assert await reserve(NOON + 2) == _about(30.0)


async def test_throttling_slows_down(reserve: Reserve, throttle: Throttle) -> None:
    """After a 429, the interval is longer."""
    await throttle(NOON)
    assert await _interval(reserve, 0.0) == pytest.approx(rate_limits.SLOWDOWN)


async def test_burst_of_throttling_counts_once(reserve: Reserve, throttle: Throttle) -> None:
    """Several 429s for requests sent at the same time count once."""
    for number in range(10):
        await throttle(NOON + number * 0.1)
    assert await _interval(reserve, 0.0) == pytest.approx(rate_limits.SLOWDOWN)


async def test_repeated_throttling_slows_down_more(reserve: Reserve, throttle: Throttle) -> None:
    """A 429 soon after the last one makes the interval longer still."""
    await throttle(NOON)
    await throttle(NOON + 10)
    expected = (rate_limits.SLOWDOWN - 10 * rate_limits.RECOVERY_PER_S) * rate_limits.SLOWDOWN_AGAIN
    assert await _interval(reserve, 10.0) == pytest.approx(expected)


async def test_slowdown_has_a_limit(reserve: Reserve, throttle: Throttle) -> None:
    """The slowdown has a maximum, however many 429s come."""
    for number in range(40):
        await throttle(NOON + 10 * number)
    assert await _interval(reserve, 390.0) == pytest.approx(rate_limits.MAX_SLOWDOWN)


@pytest.mark.parametrize(("seconds", "slower"), [(0, 1.02), (5, 1.015), (15, 1.005), (20, 1.0), (1000, 1.0)])
async def test_slowdown_recovers(reserve: Reserve, throttle: Throttle, seconds: float, slower: float) -> None:
    """The rate recovers with time, up to the configured one."""
    await throttle(NOON)
    assert await _interval(reserve, seconds) == pytest.approx(slower)


async def test_metrics_recover(database: Database) -> None:
    """The metrics show what is left of a slowdown now, and full speed without one."""
    await add_connection(database, rate_limit_key="p")
    async with database.write() as db:
        assert ((await metrics.read(db, NO_RUNS)).slowdown, (await metrics.read(db, NO_RUNS)).rate) == (1.0, 5.0)
        now = await clock.now(db)
        row = {"rate_limit_key": "p", "resumes_at": now, "slowdown": 6.0, "throttled_at": now - 1000.0}
        await db.execute(insert(rate_limits_table).values(row))
        left = await metrics.read(db, NO_RUNS)
    assert left.slowdown == pytest.approx(5.0, abs=0.1)
    assert left.rate == pytest.approx(1.0, abs=0.1)


async def test_recovery_survives_a_clock_that_jumped_back(reserve: Reserve, throttle: Throttle) -> None:
    """A 429 that seems to be from the future counts as from now."""
    await throttle(NOON + 3600)
    await reserve(NOON)
    assert await _interval(reserve, 25.0) == pytest.approx(1.0)


async def test_default_time_is_the_databases(database: Database) -> None:
    """The default time is the database's, which is this machine's in tests."""
    async with database.write() as connection:
        reservation = await rate_limits.reserve(connection, "p", RATE)
        await rate_limits.slow_down(connection, "p", 10.0)
        row = (await connection.execute(select(rate_limits_table))).one()
    assert abs(reservation.now - time.time()) < 60
    assert reservation.now <= row.throttled_at
    assert row.resumes_at == pytest.approx(row.throttled_at + 10.0, abs=0.01)


async def test_slots_are_unique(database: Database, database_url: str) -> None:
    """Connections that reserve at the same time never share a slot."""
    other = Database(database_url)

    async def take(each_database: Database) -> float:
        async with each_database.write() as connection:
            return (await rate_limits.reserve(connection, "p", RATE)).slots[0].at

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
        await rate_limits.reserve(connection, "p", RATE)
        assert await connection.scalar(shown) == "off"
    async with database.write() as connection:
        assert await connection.scalar(shown) == "on"
