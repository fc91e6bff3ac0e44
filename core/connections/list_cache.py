"""The cache of Iterable's lists for type-ahead, refreshed in the background."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from core.connections.lists import fetch_lists
from core.engine import Engine
from core.errors import SyncError
from core.iterable import IterableList
from core.store.connections import Connection

# How long the cached lists of a project count as fresh, in seconds.
FRESH_S = 60.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Cached:
    lists: list[IterableList] = field(default_factory=list)
    at: float = -FRESH_S
    renewal: "asyncio.Task[None] | None" = None
    failure: SyncError | None = None


class ListCache:
    """The Standard lists of each connection's project. Call `await close()` at the end."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine. No I/O."""
        self._engine = engine
        self._known: dict[int, _Cached] = {}

    def prefetch(self, connection: Connection) -> None:
        """Start to fetch a project's lists, before a search needs them."""
        self._renew(connection)

    async def search(self, connection: Connection, text: str, *, within: float = 1.5) -> list[IterableList]:
        """Return the Standard lists whose name or id contains the text, by name.

        Cached lists are returned at once; the first call waits for Iterable up to `within` seconds. Raises a SyncError
        if nothing is cached and the request failed.
        """
        cached = self._renew(connection)
        if not cached.lists and cached.renewal is not None:
            await asyncio.wait([cached.renewal], timeout=within)
        if not cached.lists and cached.failure is not None:
            raise cached.failure
        query = text.strip().casefold()
        return [target for target in cached.lists if query in target.name.casefold() or query == str(target.id)]

    def add(self, connection: Connection, created: IterableList) -> None:
        """Add a list that was just created."""
        cached = self._known.setdefault(connection.id, _Cached())
        cached.lists = sorted([*cached.lists, created], key=_by_name)

    async def close(self) -> None:
        """Cancel the requests in progress."""
        renewals = [cached.renewal for cached in self._known.values() if cached.renewal is not None]
        for task in renewals:
            task.cancel()
        await asyncio.gather(*renewals, return_exceptions=True)

    def _renew(self, connection: Connection) -> _Cached:
        cached = self._known.setdefault(connection.id, _Cached())
        if time.monotonic() - cached.at > FRESH_S and cached.renewal is None:
            cached.renewal = asyncio.create_task(self._fetch(connection, cached), name=f"lists of {connection.id}")
        return cached

    async def _fetch(self, connection: Connection, cached: _Cached) -> None:
        try:
            lists = await fetch_lists(self._engine, connection)
        except SyncError as error:
            logger.info("could not fetch the lists of connection %s: %s", connection.id, error.code)
            cached.failure = error
        else:
            cached.lists = sorted((target for target in lists if target.is_standard), key=_by_name)
            cached.at, cached.failure = time.monotonic(), None
        finally:
            cached.renewal = None


def _by_name(target: IterableList) -> tuple[str, int]:
    return target.name.casefold(), target.id
