"""How long to go on when requests fail, and how long to wait in between."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to go on when things fail, in seconds except for `attempts`.

    A passing fault is tried again up to `attempts` times in all, after a random part of a delay that doubles from
    `base` to `cap`. A 429 is not an attempt: it ends only after `throttled` seconds in which no request of this
    client succeeded. A Retry-After is believed up to `retry_after`. `request` is the time for one request.
    A list that was just created may be unknown for `new_list_timeout_s` (seen: up to a minute).
    """

    max_attempts: int = 8
    backoff_initial_s: float = 0.5
    backoff_max_s: float = 30.0
    retry_after: float = 300.0
    throttle_timeout_s: float = 900.0
    request_timeout_s: float = 60.0
    new_list_timeout_s: float = 90.0

    def delay(self, failures: int, asked: float | None = None) -> float:
        """Seconds to wait after that many failures in a row, and not less than Iterable asked for."""
        grown = min(self.backoff_max_s, self.backoff_initial_s * 2.0 ** min(failures - 1, 30))
        jittered = random.uniform(0.0, grown)  # noqa: S311 — spreads load, keeps no secret
        return max(jittered, self.bounded_retry_after(asked) or 0.0)

    def bounded_retry_after(self, asked: float | None) -> float | None:
        """The seconds of a Retry-After, bounded."""
        return None if asked is None else min(asked, self.retry_after)


# A person waits for this answer, so a host that can't be reached is reported after a few seconds.
INTERACTIVE_RETRY = RetryPolicy(
    max_attempts=3,
    backoff_initial_s=0.3,
    backoff_max_s=2.0,
    retry_after=5.0,
    throttle_timeout_s=10.0,
    request_timeout_s=10.0,
    new_list_timeout_s=10.0,
)
