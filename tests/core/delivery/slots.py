"""Helpers that take slots and measure their times."""

from collections.abc import Sequence

from core.iterable import RateLimiter, Slot


def least_span(times: Sequence[float], count: int) -> float:
    """The shortest time that contains more than `count` of these times, in seconds."""
    ordered = sorted(times)
    return min(last - first for first, last in zip(ordered, ordered[count:], strict=False))


async def use(limiter: RateLimiter, times: int = 1) -> list[Slot]:
    """Take slots one after the other, and use each at once."""
    slots = []
    for _ in range(times):
        slots.append(await limiter.slot())
        limiter.mark_sent(slots[-1])
    return slots
