"""The rate limit of requests: evenly spaced slots, shared by everything that uses the same Iterable project.

A server that allows N requests in any second must see N+1 requests span more than a second. So slots are a little
further apart than 1/N (MARGIN), which leaves room for jitter. A request may be sent late, because the process was busy
or had to connect first. Then the request N slots later waits for it, and if other processes share the limit, all later
slots are moved back.
"""

import math
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True, eq=False)
class Slot:
    """When a request may be sent (`at`) and when it was sent (`left_at`), in seconds of `time.monotonic`.

    `moved` is the total number of seconds by which slots had been moved back when this one was reserved.
    """

    at: float
    moved: float = 0.0
    left_at: float = -math.inf


class RateLimiter(Protocol):
    """Decides when a request may be sent."""

    async def slot(self) -> Slot:
        """Wait for the next slot and return it. The caller passes it to `mark_sent` when the request is sent."""

    def mark_sent(self, slot: Slot) -> None:
        """Record that the request of this slot is sent now."""

    async def on_throttled(self, retry_after: float | None) -> None:
        """Record a 429, with the wait in seconds that it asks for."""

    def endpoint(self, name: str, rate: float) -> "RateLimiter":
        """Return the limiter of an endpoint that has a limit of its own, in requests per second."""


class NoRateLimit:
    """No limit: for tests, and for servers without one."""

    async def slot(self) -> Slot:
        """Return at once."""
        return Slot(0.0)

    def mark_sent(self, slot: Slot) -> None:
        """Do nothing."""

    async def on_throttled(self, retry_after: float | None) -> None:
        """Do nothing: the client itself waits before it repeats a request."""

    def endpoint(self, _name: str, _rate: float) -> "NoRateLimit":
        """Return the same object: endpoints have no limit either."""
        return self
