"""Taking slots and measuring how they lie."""

from collections.abc import Sequence

from core.delivery.shared_rate_limiter import SharedRateLimiter
from core.iterable import Slot


def least_span(times: Sequence[float], count: int) -> float:
    """The shortest time in which more than `count` of these times lie."""
    ordered = sorted(times)
    return min(last - first for first, last in zip(ordered, ordered[count:], strict=False))


async def use(limiter: SharedRateLimiter, times: int = 1) -> list[Slot]:
    """Take slots one after the other, and leave at each."""
    taken = []
    for _ in range(times):
        taken.append(await limiter.slot())
        limiter.mark_sent(taken[-1])
    return taken
