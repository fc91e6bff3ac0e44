"""Retries of calls to Slack that need not succeed at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


class RetryLaterError(Exception):
    """A call failed, and a later one may succeed. `retry_after` is Slack's Retry-After in seconds, if there is one."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


async def with_retries(call: Callable[[], Awaitable[T]], waits_s: Sequence[float], max_wait_s: float) -> T:
    """Await `call()`, and repeat it after each of the waits (in seconds) as long as it raises RetryLaterError.

    A Retry-After replaces the wait, up to `max_wait_s`. Raises the last RetryLaterError, and any other error at once.
    """
    for wait in waits_s:
        try:
            return await call()
        except RetryLaterError as error:
            await asyncio.sleep(wait if error.retry_after is None else min(error.retry_after, max_wait_s))
    return await call()
