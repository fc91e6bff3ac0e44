"""The progress of a run: changes done, in total, and their rate."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

# The rate is an average over this period, in seconds.
RATE_PERIOD_S = 15.0


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run: changes done and in total. `rate` is in changes per second (None: none done yet)."""

    done: int
    total: int
    rate: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """The estimated time left, in seconds, or None without a rate."""
        return (self.total - self.done) / self.rate if self.rate else None


class ProgressTracker:
    """Computes the progress and the rate of a run from samples over time.

    The rate is that of the work: a time in which nothing changed for longer than the period of the average does not
    count. So a run that waited for Iterable has no rate until it has worked again.
    """

    def __init__(self, period_s: float = RATE_PERIOD_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the period of the average, and a clock (both in seconds)."""
        self._period_s = period_s
        self._clock = clock
        self._points: deque[tuple[float, int]] = deque()
        self._moved_at = clock()

    def add(self, done: int, total: int) -> Progress:
        """Record how many changes are done now, and return the progress."""
        now = self._clock()
        if self._points and done != self._points[-1][1]:
            if now - self._moved_at > self._period_s:
                self._points.clear()
            self._moved_at = now
        self._points.append((now, done))
        while len(self._points) > 2 and self._points[1][0] < now - self._period_s:
            self._points.popleft()
        started_at, done_before = self._points[0]
        return Progress(done, total, (done - done_before) / (now - started_at) if done > done_before else None)

    @property
    def silent_s(self) -> float:
        """The seconds since the number of changes last grew."""
        return self._clock() - self._moved_at
