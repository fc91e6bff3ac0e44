"""The rate limit of an Iterable project, shared by all runs and processes through the database."""

import asyncio
import contextlib
import itertools
import math
import time
from collections import OrderedDict, deque

from sqlalchemy.exc import SQLAlchemyError

from core.delivery.client_turns import ClientTurns
from core.delivery.database_clock import DatabaseClock
from core.iterable.rate_limiter import Slot
from core.store import clock, rate_limits
from core.store.database import Database, to_the_end
from core.store.permits import Use

# A window is longer than a second by this share. A request may be delayed on its way by as much, compared with the one
# a window later.
MARGIN = 0.015
# If a request leaves more than LATE_S seconds late, the next reservation tells other processes. If it is more than half
# of the margin, and no request waits for a slot, this process tells them after the answer.
LATE_S = 0.002
VERY_LATE_S = 0.008
# A slot that was missed by more than this many seconds (the machine was suspended, say) is exchanged for a new one.
# After MISSES of them the next slot is used however late it is.
MISSED_S = 0.5
MISSES = 3
# At a high rate, slots for so many seconds are reserved at once, so that the database is not the bottleneck.
BLOCK_S = 0.1
# Up to this rate a client takes a slot only after its last one was used; above it, a client takes up to two blocks of
# slots ahead if it is alone.
SINGLE_RATE = 2.0
# So many seconds before the last slot that was taken, others are reserved. A request that leaves late can't hold back a
# slot that another process has reserved: these must be less than a window ahead, with time to spare for the database.
AHEAD_S = 0.3
# So many limiters are kept by a process, those that were used last.
KEPT = 500
# So many times PostgreSQL's clock is read before the first slots: a process's first statement takes longer than others.
CLOCK_READS = 3
# Seconds to pause after a 429 without Retry-After: one window.
PAUSE_S = 1.0
# A 429 shows that a project without a configured limit has one: requests are paced for a while, at first at this rate.
FALLBACK_RATE = 100.0
FALLBACK_S = 60.0


class SharedRateLimiter:
    """The rate limit of an Iterable project, shared through the database by every process that uses the project.

    A process has one, so that all its clients know which requests left late; each takes a part of it (`for_client`).
    `rate` is in requests per second. 0 means no limit: then the database is not used, except for a while after a 429.
    There is no burst at the start. Time that was lost is made up for, if it was less than half a second
    (`core.store.permits`).
    """

    def __init__(self, database: Database, project: str, rate: float) -> None:
        """Take the database, the project's name in it (a digest, never an API key) and the rate. No I/O."""
        self._database = database
        self._project = project
        self._rate = rate
        self._spaced_at = rate or FALLBACK_RATE
        self._block = max(1, math.ceil(self._spaced_at * BLOCK_S))
        self.turns = ClientTurns(1 if self._spaced_at <= SINGLE_RATE else 2 * self._block, max(1, self._block // 2))
        self._endpoints: dict[tuple[str, float], SharedRateLimiter] = {}
        self._reserving = asyncio.Lock()
        self._reserved: deque[Slot] = deque()
        self._late: list[Slot] = []  # requests that left late, which other processes do not know yet
        self._waiting = 0
        self._clock = DatabaseClock()
        self._taken_until = -math.inf
        self._barred_until = -math.inf
        self._paced_until = math.inf if rate else -math.inf

    @property
    def is_paced(self) -> bool:
        """Whether requests have to wait for slots: False if there is no limit and was no recent 429."""
        return time.monotonic() < self._paced_until

    async def slot(self) -> Slot:
        """Wait for the next slot, and return it: its request may leave now."""
        if not self.is_paced:
            return Slot(time.monotonic())
        self._waiting += 1
        try:
            misses = 0
            while True:
                slot = await self._next()
                await asyncio.sleep(max(0.0, slot.at - time.monotonic()))
                late = time.monotonic() - slot.at
                misses += late > MISSED_S
                if slot.at >= self._barred_until and (late <= MISSED_S or misses >= MISSES):
                    return slot
        finally:
            self._waiting -= 1

    def mark_sent(self, slot: Slot) -> None:
        """Record that the request of a slot leaves now. If it is late, its permit can be used again later."""
        slot.left_at = time.monotonic()
        if slot.left_at > slot.at + LATE_S and self.is_paced and slot not in self._late:
            self._late.append(slot)

    async def mark_answered(self) -> None:
        """Tell other processes which requests left very late, unless the next reservation will soon."""
        if not self._waiting and any(slot.left_at > slot.at + VERY_LATE_S for slot in self._late):
            # an answer must not be lost for that: the next reservation tells them
            with contextlib.suppress(SQLAlchemyError):
                async with self._reserving:
                    await to_the_end(self._reserve(0))

    async def on_throttled(self, retry_after: float | None) -> None:
        """Pause and slow down every process that shares the project. `retry_after` is Iterable's, in seconds."""
        pause = PAUSE_S if retry_after is None else retry_after
        now = time.monotonic()
        self._barred_until = max(self._barred_until, now + pause)
        self._paced_until = max(self._paced_until, now + pause + FALLBACK_S)
        self._reserved.clear()
        await to_the_end(self._throttle(pause))

    def endpoint(self, name: str, rate: float) -> "SharedRateLimiter":
        """Return the shared rate limit of one endpoint of the project. There is none if the project has no limit."""
        rate = rate if self._rate else 0.0
        if (limiter := self._endpoints.get((name, rate))) is None:
            limiter = self._endpoints[name, rate] = SharedRateLimiter(self._database, f"{self._project}:{name}", rate)
        return limiter

    def for_client(self) -> "ClientRateLimiter":
        """Return the limiter for a new client. Clients take turns, however many requests each has."""
        return ClientRateLimiter(self)

    async def _next(self) -> Slot:
        async with self._reserving:
            while not self._reserved:  # a 429 may clear them meanwhile
                await asyncio.sleep(max(0.0, self._taken_until - AHEAD_S - time.monotonic()))
                await to_the_end(self._reserve(min(self._block, self._waiting)))
            slot = self._reserved.popleft()
            self._taken_until = slot.at
            return slot

    async def _reserve(self, count: int) -> None:
        """Reserve slots, and tell other processes which requests left late."""
        late = self._late.copy()
        async with self._database.write() as connection:
            if math.isinf(self._clock.zero) and not self._database.is_sqlite:
                for _ in range(CLOCK_READS):
                    self._compare_clocks(await clock.now(connection), time.monotonic())
            reservation = await rate_limits.reserve(
                connection,
                self._project,
                self._spaced_at,
                margin=MARGIN,
                count=count,
                late=[Use(slot.permit, slot.left_at - self._clock.zero) for slot in late],
            )
            self._compare_clocks(reservation.now, reservation.monotonic)
        self._late = self._late[len(late) :]
        self._reserved.extend(Slot(self._clock.zero + each.at, each.permit) for each in reservation.slots)

    def _compare_clocks(self, now: float, monotonic: float) -> None:
        """Compute what `time.monotonic` shows when the database's clock shows 0, from what both have just shown."""
        if self._database.is_sqlite:  # its clock is this machine's, and no answer takes time
            self._clock.zero = monotonic - now
        else:
            self._clock.compare(now, monotonic)

    async def _throttle(self, pause: float) -> None:
        async with self._database.write() as connection:
            await rate_limits.slow_down(connection, self._project, pause)


class ClientRateLimiter:
    """The rate limiter of one client, which takes turns with the other clients of the process."""

    _numbers = itertools.count()

    def __init__(self, shared: SharedRateLimiter) -> None:
        """Take the limiter that the clients share."""
        self._shared = shared
        self._number = next(self._numbers)

    async def slot(self) -> Slot:
        """Wait for the next slot, and return it: its request may leave now."""
        if not self._shared.is_paced:
            return await self._shared.slot()
        async with self._shared.turns.take(self._number):
            return await self._shared.slot()

    def mark_sent(self, slot: Slot) -> None:
        """Record that the request of a slot leaves now."""
        self._shared.mark_sent(slot)

    async def mark_answered(self) -> None:
        """Tell other processes which requests left late."""
        await self._shared.mark_answered()

    async def on_throttled(self, retry_after: float | None) -> None:
        """Pause and slow down every process that shares the project. `retry_after` is Iterable's, in seconds."""
        await self._shared.on_throttled(retry_after)

    def endpoint(self, name: str, rate: float) -> "ClientRateLimiter":
        """Return the client's limiter for one endpoint."""
        return self._shared.endpoint(name, rate).for_client()


class SharedRateLimiters:
    """The rate limiters of a process, by project and rate."""

    def __init__(self, database: Database) -> None:
        """Take the database through which processes share rates. No I/O."""
        self._database = database
        self._kept = OrderedDict[tuple[str, float], SharedRateLimiter]()

    def of(self, project: str, rate: float) -> SharedRateLimiter:
        """Return the limiter of a project (its name in the database) at a rate, in requests per second."""
        key = (project, rate)
        limiter = self._kept.pop(key, None) or SharedRateLimiter(self._database, project, rate)
        self._kept[key] = limiter
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return limiter
