"""Rate limits over a sliding window."""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` requests in any `seconds`; 0 is no limit."""

    count: int
    seconds: float = 1.0

    @classmethod
    def per_second(cls, rate: float) -> Limit:
        """Return the limit for so many requests a second. Below one a second, it is one request in a longer time."""
        return cls(1, 1.0 / rate) if 0.0 < rate < 1.0 else cls(int(rate))


DEFAULT_LIMITS: Final = {
    "bulk": Limit(5),  # subscribe and unsubscribe together
    "lists": Limit(100),
    "size": Limit(5, 60.0),
    "getUsers": Limit(5, 60.0),
    "previewUsers": Limit(5, 60.0),
    "bulkUpdate": Limit(5),
    "update": Limit(500),
    "campaigns": Limit(100),
    "getByEmail": Limit(100),
    "byUserId": Limit(100),
    "merge": Limit(50),
    "forgotten": Limit(3),
    "getFields": Limit(3),
    "forgottenUserIds": Limit(3),
}
"""The limits of a project, by name."""


class SlidingWindow:
    """The recent requests within a limit. Rejected requests do not count."""

    __slots__ = ("_passed",)

    def __init__(self) -> None:
        self._passed: deque[float] = deque()

    def wait(self, limit: Limit, now: float) -> float:
        """Count a request and return 0, or return the seconds until the next one is allowed."""
        if limit.count <= 0:
            return 0.0
        passed = self._passed
        while passed and passed[0] <= now - limit.seconds:
            passed.popleft()
        if len(passed) >= limit.count:
            return max(passed[len(passed) - limit.count] + limit.seconds - now, 1e-6)
        insort(passed, now)  # bodies may be read in another order than that of arrival
        return 0.0
