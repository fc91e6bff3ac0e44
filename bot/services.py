"""The objects that handlers share: engine, list cache, Slack clients, admin directory, and the signal to the
reconciler."""

import asyncio
from dataclasses import dataclass, field

from bot.slack.admins import AdminDirectory
from bot.slack.clients import Clients
from bot.slack.home_viewers import HomeViewers
from core.connections.list_cache import ListCache
from core.engine import Engine
from core.errors import InputError
from core.store import connections
from core.store.connections import Connection


class WakeSignal:
    """Wakes the message reconciler. Handlers set it after a change that Slack should show."""

    def __init__(self) -> None:
        """No I/O."""
        self._event = asyncio.Event()

    def __call__(self) -> None:
        """Signal that something has changed."""
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Wait for the signal, at most this many seconds, and reset it."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()


@dataclass(frozen=True, slots=True)
class Services:
    """Objects that are opened once for the process.

    `one_workspace`: the only workspace also sees connections without a workspace, which the command line saved.
    `address` is the URL of the HTTP server.
    """

    engine: Engine
    directory: ListCache
    clients: Clients
    people: AdminDirectory
    one_workspace: bool
    wake: WakeSignal = field(default_factory=WakeSignal)
    viewers: HomeViewers = field(default_factory=HomeViewers)
    address: str = ""

    async def connections(self, team_id: str) -> list[Connection]:
        """Return the connections that a workspace sees, ordered by name."""
        async with self.engine.database.read() as db:
            return await connections.of_team(db, team_id, with_shared=self.one_workspace)

    async def connection(self, team_id: str, connection_id: int) -> Connection:
        """Return a connection. Raises InputError if the workspace does not see it, or if it was removed."""
        connection = next((each for each in await self.connections(team_id) if each.id == connection_id), None)
        if connection is None:
            raise InputError("This connection no longer exists.")
        return connection
