"""What handlers work with: the engine, Iterable's lists, Slack's clients and people, and a way to wake what follows."""

from dataclasses import dataclass, field

from bot.slack.admins import AdminDirectory
from bot.slack.clients import Clients
from bot.slack.home_viewers import HomeViewers
from bot.wakeup import WakeSignal
from core.connections.list_cache import ListCache
from core.engine import Engine
from core.errors import InputError
from core.store import connections
from core.store.connections import Connection


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that is opened once for the process. `one_workspace`: connections of no workspace are shown, too.
    `address` is where the HTTP server answers, once it does.
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
        """The connections that a workspace sees, by name."""
        async with self.engine.database.read() as db:
            return await connections.of_team(db, team_id, with_shared=self.one_workspace)

    async def connection(self, team_id: str, connection_id: int) -> Connection:
        """A connection that a workspace sees. Raises InputError where it does not, or where there is none."""
        found = next((each for each in await self.connections(team_id) if each.id == connection_id), None)
        if found is None:
            raise InputError("This connection is not there any more.")
        return found
