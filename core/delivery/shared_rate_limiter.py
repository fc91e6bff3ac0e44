"""The rate limit of an Iterable project, shared by all runs and processes through the database."""

import asyncio
import math
import time
from collections import deque

from core.iterable.rate_limiter import Slot
from core.store import rate_limits
from core.store.database import Database, to_the_end

# How much further apart than 1/rate slots are. In a window of one second it makes room for 15 ms of jitter.
MARGIN = 0.015


# The part of that room which is kept for the network: a request follows the one a window's worth before it by no
# less. What was lost by a late one is thus made up little by little.
NETWORK_MARGIN = 0.012


# How late, in seconds, a request may leave before other processes' slots are moved back.
LATE_S = 0.009


# A slot missed by more than this many seconds (the machine was asleep, say) is given up for a new one, but after
# so many of them one is used as it comes.
MISSED_S = 0.5


MISSES = 3


# Slots of a block that are overdue by more than this, in seconds, are skipped.
OVERDUE_S = 0.02


# Seconds of slots that are reserved at once where the rate is high, so that the database is not the limit.
BLOCK_S = 0.1


# Up to this rate a slot is reserved only after the last one was used; above, two blocks may be ahead.
SINGLE_RATE = 2.0


# For so many seconds after another process took slots, the pace counts as shared.
SHARED_S = 5.0


# By how many seconds PostgreSQL's clock may seem to be behind the best comparison so far, for the way of its answer.
CLOCK_S = 0.01


# Slots are moved back by this many seconds at a time, at most: the window over which limits are enforced.
LATEST_S = 1.0


# Seconds to pause after a 429 without Retry-After: that window.
PAUSE_S = 1.0


# A project without a limit that answers 429 has one: requests are paced for a while, at first at this rate.
FALLBACK_RATE = 100.0


FALLBACK_S = 60.0


class SharedRateLimiter:
    """The pace of an Iterable project, shared through the database by every process that uses it.

    `rate` is in requests a second. 0 means no limit: then the database is not asked, except for a while after
    a 429. No burst at the start, and no catching up: a slot that was missed is lost.
    """

    def __init__(self, database: Database, project: str, rate: float) -> None:
        """Take the database, the project's name in it (a digest, never a key) and the rate. No I/O."""
        self._database = database
        self._project = project
        self._rate = rate
        spaced_at = rate or FALLBACK_RATE
        self._interval = (1.0 + MARGIN) / spaced_at
        self._block = max(1, math.ceil(spaced_at * BLOCK_S))
        self._ahead = asyncio.Semaphore(1 if spaced_at <= SINGLE_RATE else 2 * self._block)
        self._reserving = asyncio.Lock()
        self._reserved: deque[Slot] = deque()
        self._waiting = 0
        # the slots given out last, as many as a window holds, and the least time from the first of them to the next
        self._given = deque[Slot](maxlen=max(1, math.floor(spaced_at)))
        self._window = (1.0 + NETWORK_MARGIN) * max(1, math.floor(spaced_at)) / spaced_at
        # by how many seconds slots were moved back because requests left late: in all, and in the database
        self._moved = 0.0
        self._moved_stored = 0.0
        self._clock = math.inf
        self._reserved_until = -math.inf
        self._shared_until = -math.inf
        self._barred_until = -math.inf
        self._paced_until = math.inf if rate else -math.inf

    @property
    def is_paced(self) -> bool:
        """Whether requests are being spaced: not where there is no limit and no 429 of late."""
        return time.monotonic() < self._paced_until

    async def slot(self) -> Slot:
        """Return when the next request may leave."""
        if not self.is_paced:
            return Slot(time.monotonic())
        self._waiting += 1
        try:
            async with self._ahead:
                misses = 0
                while True:
                    slot = await self._next()
                    late = await self._reached(slot)
                    misses += late > MISSED_S
                    if slot.at >= self._barred_until and (late <= MISSED_S or misses >= MISSES):
                        return slot
        finally:
            self._waiting -= 1

    def mark_sent(self, slot: Slot) -> None:
        """Take note that the request of that slot leaves only now, and move later slots back if others need that."""
        slot.left_at = time.monotonic()
        late = slot.left_at - slot.at - LATE_S - (self._moved - slot.moved)
        if late > 0 and slot.left_at < self._shared_until:
            by = min(late, LATEST_S)
            self._moved += by
            self._reserved = deque(Slot(waiting.at + by, self._moved) for waiting in self._reserved)

    async def on_throttled(self, retry_after: float | None) -> None:
        """Pause and slow down everybody who shares the project."""
        pause = PAUSE_S if retry_after is None else retry_after
        now = time.monotonic()
        self._barred_until = max(self._barred_until, now + pause)
        self._paced_until = max(self._paced_until, now + pause + FALLBACK_S)
        self._reserved.clear()
        await to_the_end(self._throttle(pause))

    def endpoint(self, name: str, rate: float) -> "SharedRateLimiter":
        """The pace of one endpoint of the project, shared as well. Without a limit for all, there is none for one."""
        return SharedRateLimiter(self._database, f"{self._project}:{name}", rate if self._rate else 0.0)

    async def _next(self) -> Slot:
        async with self._reserving:
            now = time.monotonic()
            while self._reserved and self._reserved[0].at < now - OVERDUE_S:
                self._reserved.popleft()
            while not self._reserved:  # a 429 may take them away at once
                await to_the_end(self._reserve(min(self._block, self._waiting)))
            return self._reserved.popleft()

    async def _reached(self, slot: Slot) -> float:
        """Wait for a slot, and return by how many seconds that has come too late."""
        before = self._given[0] if len(self._given) == self._given.maxlen else None
        self._given.append(slot)
        await asyncio.sleep(max(0.0, slot.at - time.monotonic()))
        due = slot.at if before is None else max(slot.at, before.left_at + self._window)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        return time.monotonic() - due

    async def _reserve(self, count: int) -> None:
        moved = self._moved
        async with self._database.write() as connection:
            asked = time.monotonic()
            found = await rate_limits.reserve(
                connection, self._project, self._interval, count=count, late=moved - self._moved_stored
            )
            self._compare_clocks(found.now, asked, time.monotonic())
        expected = self._reserved_until + moved - self._moved_stored
        if found.first > max(expected, found.now) + self._interval / 2:
            self._shared_until = time.monotonic() + SHARED_S
        self._reserved_until = found.first + count * found.spacing
        self._moved_stored = moved
        slots = (self._clock + found.first + number * found.spacing for number in range(count))
        self._reserved.extend(Slot(at, moved) for at in slots)

    def _compare_clocks(self, now: float, asked: float, answered: float) -> None:
        """Find out what `time.monotonic` shows when the database's clock shows 0."""
        if self._database.is_sqlite:  # it was told the time when it was asked
            self._clock = asked - now
        elif not 0.0 <= (answered - now) - self._clock <= CLOCK_S:  # it looked before it answered: the least is right
            self._clock = answered - now

    async def _throttle(self, pause: float) -> None:
        async with self._database.write() as connection:
            await rate_limits.slow_down(connection, self._project, pause)
