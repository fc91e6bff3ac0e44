"""The cache of Iterable's lists for type-ahead, refreshed in the background."""

from core.connections.lists import fetch_lists
from core.connections.refreshed_cache import RefreshedCache
from core.engine import Engine
from core.iterable import IterableList
from core.store.connections import Connection


class ListCache(RefreshedCache[list[IterableList]]):
    """The Standard lists of each connection's project. Call `await close()` at the end."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine. No I/O."""
        super().__init__()
        self._engine = engine

    async def fetch(self, connection: Connection) -> list[IterableList]:
        """Fetch the lists of a project, by name."""
        lists = await fetch_lists(self._engine, connection)
        return sorted((target for target in lists if target.is_standard), key=_by_name)

    async def search(self, connection: Connection, text: str, *, within: float = 1.5) -> list[IterableList]:
        """Return the Standard lists whose name or id contains the text, by name.

        Cached lists are returned at once; the first call waits for Iterable up to `within` seconds. Raises a SyncError
        if nothing is cached and the request failed.
        """
        query = text.strip().casefold()
        lists = await self.get(connection, within=within) or []
        return [target for target in lists if query in target.name.casefold() or query == str(target.id)]

    def add(self, connection: Connection, created: IterableList) -> None:
        """Add a list that was just created."""
        self.put(connection, sorted([*(self.peek(connection) or []), created], key=_by_name))


def _by_name(target: IterableList) -> tuple[str, int]:
    return target.name.casefold(), target.id
