"""The rate limit of requests: slots, shared by everything that uses the same Iterable project."""

import math
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True, eq=False)
class Slot:
    """When a request may be sent (`at`) and when it was sent (`left_at`), in seconds of `time.monotonic`.

    `permit` is the number of the permit that it uses (`core.store.permits`), if there is a limit.
    """

    at: float
    permit: int = 0
    left_at: float = -math.inf


class RateLimiter(Protocol):
    """Decides when a request may be sent."""

    async def slot(self) -> Slot:
        """Wait for the next slot and return it. The caller passes it to `mark_sent` when the request is sent."""

    def mark_sent(self, slot: Slot) -> None:
        """Record that the request of this slot is sent now. The last call counts."""

    async def mark_answered(self) -> None:
        """Record that a request was answered."""

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

    async def mark_answered(self) -> None:
        """Do nothing."""

    async def on_throttled(self, retry_after: float | None) -> None:
        """Do nothing: the client itself waits before it repeats a request."""

    def endpoint(self, _name: str, _rate: float) -> "NoRateLimit":
        """Return the same object: endpoints have no limit either."""
        return self
