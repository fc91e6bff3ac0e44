"""When requests may leave: evenly spaced, and shared by everything that uses the same Iterable project.

How the limit is kept without wasting it: a server that allows N requests in any second sees N+1 requests span N
intervals. The intervals are a little longer than 1/N (MARGIN), so that N+1 requests span a little more than a
second, and that little more pays for requests that leave or arrive late. A request that leaves later than that
moves all later slots back.
"""

import asyncio
import math
import time
from collections import deque
from typing import NamedTuple, Protocol

from core.store import pace
from core.store.database import Database

# How much longer than 1/rate the interval is. In a window of one second it makes room for 15 ms of jitter.
MARGIN = 0.015
# How much of that room, in seconds, a request may take by leaving late. The rest is for the network.
LATE_S = 0.009
# A slot missed by more than this (the process was busy, or asleep) is given up for a new one, but not for ever.
MISSED_S = 0.05
MISSES = 3
# Slots are moved back by this much at a time, at most: the window over which limits are enforced, in seconds.
LATEST_S = 1.0
# Seconds of slots that are reserved at once where the rate is high, so that the database is not the limit.
BLOCK_S = 0.1
# Up to this rate a slot is reserved only after the last one was used; above, two blocks may be ahead.
SINGLE_RATE = 2.0
# Seconds to pause after a 429 without Retry-After: the window over which limits are enforced.
PAUSE_S = 1.0
# A project without a limit that answers 429 has one: requests are paced for a while, at first at this rate.
FALLBACK_RATE = 100.0
FALLBACK_S = 60.0


class Slot(NamedTuple):
    """When a request may leave, on `time.monotonic`, and how far slots had been moved back when it was reserved."""

    at: float
    moved: float = 0.0


class Pacer(Protocol):
    """Says when a request may leave."""

    async def slot(self) -> Slot:
        """Return when the next request may leave; what comes back is handed to `left`."""

    def left(self, slot: Slot) -> None:
        """Take note that the request of that slot leaves only now."""

    async def throttled(self, retry_after: float | None) -> None:
        """Take note of a 429, with the seconds that it asks to wait."""

    def endpoint(self, name: str, rate: float) -> "Pacer":
        """The pace of a single endpoint that has a limit of its own, in requests a second."""


class Unpaced:
    """No pace at all: for tests, and for servers without a limit."""

    async def slot(self) -> Slot:
        """Return at once."""
        return Slot(0.0)

    def left(self, slot: Slot) -> None:
        """Do nothing."""

    async def throttled(self, retry_after: float | None) -> None:
        """Do nothing: the client itself waits before it repeats a request."""

    def endpoint(self, _name: str, _rate: float) -> "Unpaced":
        """No pace either."""
        return self


class SharedPacer:
    """The pace of an Iterable project, shared through the database by every process that uses it.

    `rate` is in requests a second. 0 means no limit: then the database is not asked, except for a while after
    a 429. No burst at the start, and no catching up: a slot that was missed is lost.
    """

    def __init__(self, database: Database, project: str, rate: float) -> None:
        """Take the database, the project's name in it (a digest, never a key) and the rate. No I/O."""
        self._database = database
        self._project = project
        self._rate = rate
        self._interval = (1.0 + MARGIN) / (rate or FALLBACK_RATE)
        self._block = max(1, math.ceil((rate or FALLBACK_RATE) * BLOCK_S))
        self._ahead = asyncio.Semaphore(1 if 0 < rate <= SINGLE_RATE else 2 * self._block)
        self._reserving = asyncio.Lock()
        self._reserved: deque[Slot] = deque()
        self._waiting = 0
        # seconds by which slots were moved back because requests left late: in all, and in the database
        self._moved = 0.0
        self._moved_stored = 0.0
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
                    await asyncio.sleep(max(0.0, slot.at - time.monotonic()))
                    missed = time.monotonic() - slot.at > MISSED_S
                    misses += missed
                    if slot.at >= self._barred_until and (not missed or misses >= MISSES):
                        return slot
        finally:
            self._waiting -= 1

    def left(self, slot: Slot) -> None:
        """Take note that the request of that slot leaves only now; if that is late, move later slots back."""
        late = time.monotonic() - slot.at - LATE_S - (self._moved - slot.moved)
        if late > 0 and self.is_paced:
            by = min(late, LATEST_S)
            self._moved += by
            self._reserved = deque(Slot(waiting.at + by, self._moved) for waiting in self._reserved)

    async def throttled(self, retry_after: float | None) -> None:
        """Pause and slow down everybody who shares the project."""
        pause = PAUSE_S if retry_after is None else retry_after
        now = time.monotonic()
        self._barred_until = max(self._barred_until, now + pause)
        self._paced_until = max(self._paced_until, now + pause + FALLBACK_S)
        self._reserved.clear()
        async with self._database.write() as connection:
            await pace.throttle(connection, self._project, pause)

    def endpoint(self, name: str, rate: float) -> "SharedPacer":
        """The pace of one endpoint of the project, shared as well. Without a limit for all, there is none for one."""
        return SharedPacer(self._database, f"{self._project}:{name}", rate if self._rate else 0.0)

    async def _next(self) -> Slot:
        async with self._reserving:
            now = time.monotonic()
            while self._reserved and self._reserved[0].at < now - LATE_S:
                self._reserved.popleft()
            if not self._reserved:
                await self._reserve(min(self._block, self._waiting))
            return self._reserved.popleft()

    async def _reserve(self, count: int) -> None:
        moved = self._moved
        async with self._database.write() as connection:
            before = time.monotonic()
            found = await pace.reserve(
                connection, self._project, self._interval, count=count, late=moved - self._moved_stored
            )
            # SQLite is told the time before it works, PostgreSQL takes it at the end (of waiting for others, too)
            here = (before if self._database.is_sqlite else time.monotonic()) - found.now
        self._moved_stored = moved
        slots = (here + found.first + number * found.spacing for number in range(count))
        self._reserved.extend(Slot(at, moved) for at in slots)
