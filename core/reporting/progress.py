"""How far a run is, and how fast it goes."""

import time
from collections import deque
from dataclasses import dataclass

# The rate is that of the last so many seconds.
RATE_OVER_S = 15.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How many changes are done, of how many; `rate` is changes a second, once any were done."""

    done: int
    total: int
    rate: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """An estimate."""
        return (self.total - self.done) / self.rate if self.rate else None


class ProgressTracker:
    """How many changes of a run were done when: tells the rate."""

    def __init__(self) -> None:
        """Begin without points."""
        self._points: deque[tuple[float, int]] = deque()

    def add(self, done: int, total: int) -> Progress:
        """Note how many are done now. Returns how far it is."""
        now = time.monotonic()
        self._points.append((now, done))
        while len(self._points) > 2 and self._points[1][0] < now - RATE_OVER_S:
            self._points.popleft()
        begin, before = self._points[0]
        return Progress(done, total, (done - before) / (now - begin) if done > before else None)
