"""Group commit: the items that arrive during a write, or shortly after one, are written together by the next write.

SQLite flushes to disk before it confirms a commit (synchronous=FULL). That takes milliseconds even for few rows. On
both databases the statements of a write cost CPU, however few rows they have. So messages share a write.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from core.store.database_errors import DATABASE_FAULTS, is_away

Item = TypeVar("Item")

# The largest weight (profiles) of one write. It holds SQLite's only write lock for about 100 ms.
MOST_TOGETHER = 5_000
#: The time between the beginnings of two writes, in seconds, unless enough waits for the largest. An item that comes
#: later than this after a write is written at once.
GATHER_S = 0.02


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item]):
    item: Item
    weight: int
    written: asyncio.Future[Any]


class GroupCommit(Generic[Item]):
    """A queue of items that are written in groups. `write` writes a group in one transaction; one result per item."""

    def __init__(self, write: Callable[[list[Item]], Awaitable[list[Any]]], gather_s: float = GATHER_S) -> None:
        """Store the function that writes, and the time between two writes."""
        self._write = write
        self._gather_s = gather_s
        self._began_at = -math.inf
        self._waiting: list[_Waiting[Item]] = []
        self._writing = asyncio.Lock()

    async def put(self, item: Item, weight: int) -> Any:
        """Write an item of this weight, and return its result when it is on disk. Raises the error of its write."""
        waiting = _Waiting(item, weight, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        async with self._writing:
            while not waiting.written.done():
                await self._gather()
                await self._write_some(self._next())
        return await waiting.written

    async def _gather(self) -> None:
        """Wait until the next write may begin."""
        wait_s = self._began_at + self._gather_s - time.monotonic()
        if wait_s > 0.0 and sum(waiting.weight for waiting in self._waiting) < MOST_TOGETHER:
            await asyncio.sleep(wait_s)
        self._began_at = time.monotonic()

    def _next(self) -> list[_Waiting[Item]]:
        weight, size = 0, 0
        for waiting in self._waiting:
            weight += waiting.weight
            if size and weight > MOST_TOGETHER:
                break
            size += 1
        group, self._waiting = self._waiting[:size], self._waiting[size:]
        return group

    async def _write_some(self, group: list[_Waiting[Item]]) -> None:
        try:
            results = await self._write([waiting.item for waiting in group])
        except DATABASE_FAULTS as error:
            if len(group) > 1 and not is_away(error):  # perhaps only one item is the cause
                for waiting in group:
                    await self._write_some([waiting])
                return
            _fail(group, error)
            return
        except BaseException as error:  # every caller that waits for this write gets the error
            _fail(group, error)
            raise
        for waiting, result in zip(group, results, strict=True):
            if not waiting.written.done():
                waiting.written.set_result(result)


def _fail(group: list[_Waiting[Any]], error: BaseException) -> None:
    for waiting in group:
        if not waiting.written.done():
            waiting.written.set_exception(error)
            waiting.written.exception()  # mark it as retrieved, or asyncio logs it if the waiting task was cancelled
