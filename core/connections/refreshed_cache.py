"""A cache of what a project or an account offers, for type-ahead: answers at once, refreshed in the background."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.errors import SyncError
from core.store.connections import Connection

# How long a cached value counts as fresh, in seconds.
FRESH_S = 60.0

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Cached(Generic[T]):
    value: T | None = None
    at: float = -FRESH_S
    renewal: "asyncio.Task[None] | None" = None
    failure: SyncError | None = None


class RefreshedCache(ABC, Generic[T]):
    """A value for each connection. Call `await close()` at the end."""

    def __init__(self) -> None:
        """No I/O."""
        self._known: dict[int, _Cached[T]] = {}

    @abstractmethod
    async def fetch(self, connection: Connection) -> T:
        """Fetch the value of a connection. Raises a SyncError if that fails."""

    def prefetch(self, connection: Connection) -> None:
        """Start to fetch the value, before it is needed."""
        self._renew(connection)

    async def get(self, connection: Connection, *, within: float = 1.5) -> T | None:
        """Return the value: at once if it is cached, else after up to `within` seconds. None if that is too short.

        Raises a SyncError if nothing is cached and the last attempt failed.
        """
        cached = self._renew(connection)
        if cached.value is None and cached.renewal is not None:
            await asyncio.wait([cached.renewal], timeout=within)
        if cached.value is None and cached.failure is not None:
            raise cached.failure
        return cached.value

    def peek(self, connection: Connection) -> T | None:
        """Return the cached value, however old."""
        cached = self._known.get(connection.id)
        return None if cached is None else cached.value

    def put(self, connection: Connection, value: T) -> None:
        """Replace the cached value, which stays as old as it is."""
        self._known.setdefault(connection.id, _Cached()).value = value

    def forget(self, connection: Connection) -> None:
        """Drop the value, because the connection has changed."""
        cached = self._known.pop(connection.id, None)
        if cached is not None and cached.renewal is not None:
            cached.renewal.cancel()

    async def close(self) -> None:
        """Cancel the requests in progress."""
        renewals = [cached.renewal for cached in self._known.values() if cached.renewal is not None]
        for task in renewals:
            task.cancel()
        await asyncio.gather(*renewals, return_exceptions=True)

    def _renew(self, connection: Connection) -> _Cached[T]:
        cached = self._known.setdefault(connection.id, _Cached())
        if time.monotonic() - cached.at > FRESH_S and cached.renewal is None:
            name = f"{type(self).__name__} of {connection.id}"
            cached.renewal = asyncio.create_task(self._fill(connection, cached), name=name)
        return cached

    async def _fill(self, connection: Connection, cached: _Cached[T]) -> None:
        try:
            value = await self.fetch(connection)
        except SyncError as error:
            logger.info("could not refresh the %s of connection %s: %s", type(self).__name__, connection.id, error.code)
            cached.failure = error
        else:
            cached.value, cached.at, cached.failure = value, time.monotonic(), None
        finally:
            cached.renewal = None
