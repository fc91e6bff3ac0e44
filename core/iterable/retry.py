"""The retry policy: how long to retry requests that fail, and how long to wait in between."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to retry requests that fail. All values but `max_attempts` are in seconds.

    A request is sent up to `max_attempts` times if its faults are transient. Before each retry comes a random part of a
    delay, which doubles from `backoff_initial_s` to `backoff_max_s`. A 429 does not count as an attempt: the client
    gives up when none of its requests has succeeded for `throttle_timeout_s`. A Retry-After header is respected up to
    `retry_after`. A single request may take `request_timeout_s`. A list that was just created may be unknown for
    `new_list_timeout_s` (seen: up to a minute).
    """

    max_attempts: int = 8
    backoff_initial_s: float = 0.5
    backoff_max_s: float = 30.0
    retry_after: float = 300.0
    throttle_timeout_s: float = 900.0
    request_timeout_s: float = 60.0
    new_list_timeout_s: float = 90.0

    def delay(self, failures: int, asked: float | None = None) -> float:
        """Return the seconds to wait after this many failures in a row. `asked`: those of a Retry-After header."""
        grown = min(self.backoff_max_s, self.backoff_initial_s * 2.0 ** min(failures - 1, 30))
        jittered = random.uniform(0.0, grown)  # noqa: S311 — spreads load, protects no secret
        return max(jittered, self.bounded_retry_after(asked) or 0.0)

    def bounded_retry_after(self, asked: float | None) -> float | None:
        """Return the seconds of a Retry-After header, at most `retry_after`."""
        return None if asked is None else min(asked, self.retry_after)


# For answers that a person waits for: a host that can't be reached is reported after a few seconds.
INTERACTIVE_RETRY = RetryPolicy(
    max_attempts=3,
    backoff_initial_s=0.3,
    backoff_max_s=2.0,
    retry_after=5.0,
    throttle_timeout_s=10.0,
    request_timeout_s=10.0,
    new_list_timeout_s=10.0,
)
