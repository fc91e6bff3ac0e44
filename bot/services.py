"""The objects that handlers share: engine, list cache, Slack clients, directories of people, and the signal to the
reconciler."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.slack.access_gate import HomeWorkspace, PendingReplies
from bot.slack.actor import Actor
from bot.slack.admins import AdminDirectory
from bot.slack.clients import Clients
from bot.slack.home_viewers import HomeViewers
from bot.slack.message_links import MessageLinks
from bot.slack.user_groups import UserGroupDirectory, UserGroupsUnknownError
from bot.ui.people_inputs import GroupChoice
from core.connections.audience_cache import AudienceCache
from core.connections.list_cache import ListCache
from core.engine import Engine
from core.errors import InputError
from core.models.run import Run
from core.store import slack_messages, tenancy
from core.store.alerts import Alert
from core.store.connections import Connection
from core.store.mappings import AudienceMapping
from core.store.slack_messages import SlackMessage
from core.store.tenancy import Tenant


class WakeSignal:
    """Wakes the message reconciler. Handlers set it after a change that Slack should show."""

    def __init__(self) -> None:
        """No I/O."""
        self._event = asyncio.Event()

    def __call__(self) -> None:
        """Signal that something has changed."""
        self._event.set()

    async def wait(self, engine: Engine, seconds: float, idle_s: float, seen: int) -> None:
        """Wait for the signal, or until the engine is stopping, as `Engine.rest`, and reset it."""
        try:
            await engine.rest(seconds, idle_s, seen, self._event)
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
    audiences: AudienceCache
    clients: Clients
    people: AdminDirectory
    one_workspace: bool
    wake: WakeSignal = field(default_factory=WakeSignal)
    viewers: HomeViewers = field(default_factory=HomeViewers)
    groups: UserGroupDirectory = field(default_factory=UserGroupDirectory)
    home: HomeWorkspace = field(default_factory=HomeWorkspace)
    replies: PendingReplies = field(default_factory=PendingReplies)
    links: MessageLinks = field(default_factory=MessageLinks)
    address: str = ""

    async def link_to(self, team_id: str | None, message: SlackMessage | None) -> str | None:
        """Return the address of a message; None if Slack does not show it, or does not answer."""
        return await self.links.to(self.clients, team_id, message)

    async def run_links(self, team_id: str, run_ids: Collection[str]) -> dict[str, str]:
        """Return the addresses of the messages of runs in a workspace, by run id."""
        keys = {f"run:{run_id}": run_id for run_id in run_ids}
        if not keys:
            return {}
        async with self.engine.database.read() as db:
            stored = await slack_messages.of(db, list(keys))
        links = {keys[key]: await self.link_to(team_id, message) for key, message in stored.items()}
        return {run_id: link for run_id, link in links.items() if link is not None}

    def tenant(self, actor: Actor) -> Tenant:
        """Return whose data a person sees: that of their workspace or, for an outsider, that of connections that name
        them."""
        return Tenant(actor.team_id, self.one_workspace, actor.person if actor.is_outsider else None)

    def workspace(self, team_id: str) -> Tenant:
        """Return a whole workspace as a tenant."""
        return Tenant(team_id, self.one_workspace)

    async def with_groups(self, connections: Sequence[Connection]) -> list[Connection]:
        """Return connections with the people in the user groups that they name, as far as Slack says."""
        members: dict[str | None, Mapping[str, frozenset[str]]] = {}
        for each in connections:
            if each.named_groups and each.team_id not in members:
                client = await self.clients.for_team(each.team_id)
                known = {} if client is None else await self.groups.members(client, each.team_id or "")
                members[each.team_id] = known
        return [
            replace(each, group_members=members[each.team_id]) if each.named_groups else each for each in connections
        ]

    async def group_choices(self, team_id: str) -> list[GroupChoice]:
        """Return the user groups of a workspace that a form offers; none if Slack does not say which there are."""
        client = await self.clients.for_team(team_id)
        if client is None:
            return []
        try:
            groups = await self.groups.groups(client, team_id)
        except UserGroupsUnknownError:
            return []
        return [GroupChoice(each.id, each.handle) for each in groups.values()]

    async def connections_of(self, team_id: str) -> list[Connection]:
        """Return the connections that a workspace sees, by name."""
        async with self.engine.database.read() as db:
            visible = await tenancy.connections_of(db, self.workspace(team_id))
        return await self.with_groups(visible)

    async def is_named(self, team_id: str, person: str) -> bool:
        """Return whether a connection of a workspace names a person as operator or approver."""
        return any(each.names(person) for each in await self.connections_of(team_id))

    async def connections(self, actor: Actor) -> list[Connection]:
        """Return the connections that a person sees, by name."""
        async with self.engine.database.read() as db:
            visible = await tenancy.connections_of(db, self.tenant(actor))
        return await self.with_groups(visible)

    async def connection(self, actor: Actor, connection_id: int) -> Connection:
        """Return a connection that a person sees. Raises InputError if there is none."""
        async with self.engine.database.read() as db:
            connection = await tenancy.connection(db, self.tenant(actor), connection_id)
        if connection is None:
            raise InputError("There is no such connection.")
        return (await self.with_groups([connection]))[0]

    async def mapping(self, actor: Actor, mapping_id: int) -> tuple[Connection, AudienceMapping]:
        """Return a mapping that a person sees, with its connection. Raises InputError if there is none."""
        async with self.engine.database.read() as db:
            mapping = await tenancy.mapping(db, self.tenant(actor), mapping_id)
        if mapping is None:
            raise InputError("There is no such mapping.")
        return (await self.with_groups([mapping[0]]))[0], mapping[1]

    async def run(self, actor: Actor, run_id: str) -> tuple[Connection, AudienceMapping, Run]:
        """Return a run that a person sees, with its connection and mapping. Raises InputError if there is none."""
        async with self.engine.database.read() as db:
            run = await tenancy.run(db, self.tenant(actor), run_id)
        if run is None:
            raise InputError(f'There is no run "{run_id[:40]}".')
        return (await self.with_groups([run[0]]))[0], run[1], run[2]

    async def alert(self, actor: Actor, alert_id: int) -> tuple[Connection, Alert]:
        """Return an alert that a person sees, with its connection, as of its mapping. Raises InputError if there is
        none."""
        async with self.engine.database.read() as db:
            alert = await tenancy.alert(db, self.tenant(actor), alert_id)
        if alert is None:
            raise InputError("There is no such alert.")
        return (await self.with_groups([alert[0]]))[0], alert[1]
