"""Group commit: what arrives while a write is under way is written together by the next one.

SQLite is asked to have everything on the disk before it answers (synchronous=FULL), which takes milliseconds however
little is written. So messages share them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.exc import DBAPIError

from core.store.database import is_away

Item = TypeVar("Item")

# Weight (profiles) written together: some 100 ms of SQLite's one write lock.
MOST_TOGETHER = 5_000


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item]):
    item: Item
    weight: int
    written: asyncio.Future[Any]


class GroupCommit(Generic[Item]):
    """Writes items. `write` writes several in one transaction, and returns a result for each."""

    def __init__(self, write: Callable[[list[Item]], Awaitable[list[Any]]]) -> None:
        """Take what writes."""
        self._write = write
        self._waiting: list[_Waiting[Item]] = []
        self._writing = asyncio.Lock()

    async def put(self, item: Item, weight: int) -> Any:
        """Return the result for an item when it is on disk."""
        mine = _Waiting(item, weight, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        async with self._writing:
            while not mine.written.done():
                await self._write_some(self._next())
        return await mine.written

    def _next(self) -> list[_Waiting[Item]]:
        weight, some = 0, 0
        for each in self._waiting:
            weight += each.weight
            if some and weight > MOST_TOGETHER:
                break
            some += 1
        together, self._waiting = self._waiting[:some], self._waiting[some:]
        return together

    async def _write_some(self, together: list[_Waiting[Item]]) -> None:
        try:
            results = await self._write([each.item for each in together])
        except DBAPIError as error:
            if len(together) > 1 and not is_away(error):  # perhaps only one of them is the cause
                for each in together:
                    await self._write_some([each])
                return
            _fail(together, error)
            return
        except BaseException as error:  # whoever waits for this write has to hear of it
            _fail(together, error)
            raise
        for each, result in zip(together, results, strict=True):
            if not each.written.done():
                each.written.set_result(result)


def _fail(together: list[_Waiting[Any]], error: BaseException) -> None:
    for each in together:
        if not each.written.done():
            each.written.set_exception(error)
            each.written.exception()  # heard of, also by those who stopped waiting
