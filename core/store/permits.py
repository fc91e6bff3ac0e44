"""The permits of a rate limit: when the next requests of a project may leave.

A project that may send N requests a second has N permits. A permit may be used again a window after its last use: a
second, and a little more for jitter. So no N + 1 requests lie within a window, in whatever order they leave. A request
that leaves late holds back its own permit, and no other one.

Requests leave at even intervals. If time was lost, because a request left late or none was ready, the next ones follow
more closely until that is made up for.
"""

import heapq
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

# Requests that make up for lost time leave at least this share of an interval after the one before.
LEAST_INTERVAL = 0.5
# So much lost time is made up for, as a share of a window. After a pause of a window, requests begin evenly.
MADE_UP = 0.5


@dataclass(frozen=True, slots=True)
class Use:
    """The use of a permit, by its number, at a time in seconds of the clock that all processes share."""

    permit: int
    at: float


class Permits:
    """The permits of a rate limit, each with the time of its last use. No I/O."""

    def __init__(self, rate: float, stored: str | None = None, *, stretch: float = 1.0) -> None:
        """Take the rate, in requests per second, and what `to_json` returned last.

        Windows and intervals are `stretch` times as long as the rate permits. Below one request a second there is one
        permit, with a longer window.
        """
        count = max(1, math.ceil(rate))
        self._interval = stretch / rate
        self.window = count * self._interval
        used_at: list[float] = json.loads(stored or "[]")
        latest = sorted(used_at)[-count:] if len(used_at) > count else used_at  # there are fewer at a lower rate
        self._used_at = [*latest, *[-math.inf] * (count - len(latest))]

    def to_json(self) -> str:
        """Return the times of the last uses, to a tenth of a millisecond. `take` was called before."""
        return json.dumps([round(at, 4) for at in self._used_at])

    def forget_after(self, latest: float) -> None:
        """Take permits that were used after this time for unused: a clock has jumped back since."""
        self._used_at = [-math.inf if at > latest else at for at in self._used_at]

    def correct(self, uses: Iterable[Use]) -> None:
        """Record uses that were later than their permits were taken for."""
        for use in uses:
            if use.permit < len(self._used_at):
                self._used_at[use.permit] = max(self._used_at[use.permit], use.at)

    def take(self, count: int, begin: float, since: float = -math.inf) -> list[Use]:
        """Use permits for the next `count` requests, and return when each may leave: at `begin` or later.

        Time that was lost before `since` is not made up for.
        """
        last = max(self._used_at)
        made_up = min(MADE_UP * self.window, begin - since) if last > begin - self.window else 0.0
        # permits count as used at even intervals, the last one just before the time that is made up for
        evenly = begin - made_up - self.window
        free = []
        for place, permit in enumerate(sorted(range(len(self._used_at)), key=self._used_at.__getitem__)):
            self._used_at[permit] = max(self._used_at[permit], evenly + place * self._interval)
            free.append((self._used_at[permit] + self.window, permit))
        uses = []
        for _ in range(count):
            free_at, permit = free[0]
            last = max(begin, free_at, last + LEAST_INTERVAL * self._interval)
            heapq.heapreplace(free, (last + self.window, permit))
            self._used_at[permit] = last
            uses.append(Use(permit, last))
        return uses
