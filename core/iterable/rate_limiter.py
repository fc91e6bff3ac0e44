"""When requests may leave: evenly spaced, and shared by everything that uses the same Iterable project.

How the limit is kept without wasting it: a server that allows N requests in any second must see N+1 requests span
more than a second. Slots are a little further apart than 1/N (MARGIN), which leaves room for jitter. A request may
leave late, because the process was busy or a connection had to be made: then the one that comes N after it waits
for it, and where other processes share the pace, all later slots are moved back.
"""

import math
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True, eq=False)
class Slot:
    """When a request may leave, and when it really left, on `time.monotonic`.

    `moved` is by how many seconds slots had been moved back in all when this one was reserved.
    """

    at: float
    moved: float = 0.0
    left_at: float = -math.inf


class RateLimiter(Protocol):
    """Says when a request may leave."""

    async def slot(self) -> Slot:
        """Return when the next request may leave; what comes back is handed to `left`."""

    def mark_sent(self, slot: Slot) -> None:
        """Take note that the request of that slot leaves only now."""

    async def on_throttled(self, retry_after: float | None) -> None:
        """Take note of a 429, with the seconds that it asks to wait."""

    def endpoint(self, name: str, rate: float) -> "RateLimiter":
        """The pace of a single endpoint that has a limit of its own, in requests a second."""


class NoRateLimit:
    """No pace at all: for tests, and for servers without a limit."""

    async def slot(self) -> Slot:
        """Return at once."""
        return Slot(0.0)

    def mark_sent(self, slot: Slot) -> None:
        """Do nothing."""

    async def on_throttled(self, retry_after: float | None) -> None:
        """Do nothing: the client itself waits before it repeats a request."""

    def endpoint(self, _name: str, _rate: float) -> "NoRateLimit":
        """No pace either."""
        return self
