"""The directory of Iterable's lists: from memory where a person types and waits, renewed behind their back."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from core.connections.lists import fetch_lists
from core.engine import Engine
from core.errors import SyncError
from core.iterable import IterableList
from core.store.connections import Connection

# How long the lists of a project are taken as they were, in seconds.
FRESH_S = 60.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    lists: list[IterableList] = field(default_factory=list)
    at: float = -FRESH_S
    renewal: "asyncio.Task[None] | None" = None
    failure: SyncError | None = None


class ListCache:
    """The Standard lists of each connection's project. Close it (`await close()`) at the end."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine. No I/O."""
        self._engine = engine
        self._known: dict[int, _Known] = {}

    def prefetch(self, connection: Connection) -> None:
        """Begin to fetch a project's lists, because they will soon be asked for."""
        self._renew(connection)

    async def search(self, connection: Connection, text: str, *, within: float = 1.5) -> list[IterableList]:
        """Return the Standard lists whose name or id contains the text, by name.

        What is known is returned at once; the first time Iterable has `within` seconds. Raises a SyncError where
        nothing is known and Iterable does not answer as it should.
        """
        known = self._renew(connection)
        if not known.lists and known.renewal is not None:
            await asyncio.wait([known.renewal], timeout=within)
        if not known.lists and known.failure is not None:
            raise known.failure
        wanted = text.strip().casefold()
        return [each for each in known.lists if wanted in each.name.casefold() or wanted == str(each.id)]

    def add(self, connection: Connection, made: IterableList) -> None:
        """Note a list that was just created."""
        known = self._known.setdefault(connection.id, _Known())
        known.lists = sorted([*known.lists, made], key=_by_name)

    async def close(self) -> None:
        """End what is under way."""
        under_way = [known.renewal for known in self._known.values() if known.renewal is not None]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _renew(self, connection: Connection) -> _Known:
        known = self._known.setdefault(connection.id, _Known())
        if time.monotonic() - known.at > FRESH_S and known.renewal is None:
            known.renewal = asyncio.create_task(self._fetch(connection, known), name=f"lists of {connection.id}")
        return known

    async def _fetch(self, connection: Connection, known: _Known) -> None:
        try:
            found = await fetch_lists(self._engine, connection)
        except SyncError as error:
            logger.info("the lists of connection %s could not be fetched: %s", connection.id, error.code)
            known.failure = error
        else:
            known.lists = sorted((each for each in found if each.is_standard), key=_by_name)
            known.at, known.failure = time.monotonic(), None
        finally:
            known.renewal = None


def _by_name(one: IterableList) -> tuple[str, int]:
    return one.name.casefold(), one.id
