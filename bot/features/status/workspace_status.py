"""The status of a workspace, read in one transaction, for the home page and for `status`."""

import time
from dataclasses import dataclass
from typing import Self

from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.features.mapping_lookup import list_name
from bot.services import Services
from bot.slack.admins import AdminLookupError
from core.connections import permissions
from core.models.run import Run, RunStatus
from core.store import alerts, batches, lists, live_mappings, mappings, runs, tenancy
from core.store.alerts import Alert
from core.store.connections import Connection
from core.store.live_mappings import LiveStatus
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.tenancy import Tenant


@dataclass(frozen=True, slots=True)
class MappingStatusRow:
    """A mapping with its newest run (`last`) or, if it is live, its numbers (`live`)."""

    mapping: AudienceMapping
    connection: Connection
    list_name: str
    last: Run | None
    live: LiveStatus | None

    @property
    def is_proposed(self) -> bool:
        """Whether the mapping waits for approval."""
        return self.mapping.status is MappingStatus.PROPOSED


@dataclass(frozen=True, slots=True)
class RunInProgress:
    """A run that has not ended, with its progress in changes."""

    run: Run
    mapped: MappingStatusRow
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """The status of everything that a workspace sees, in the order in which it is shown."""

    connections: tuple[Connection, ...]
    mapped: tuple[MappingStatusRow, ...]
    under_way: tuple[RunInProgress, ...]
    waiting: tuple[RunInProgress, ...]
    """Runs that wait for approval, the longest waiting first."""
    alerts: tuple[Alert, ...]

    @property
    def unapproved(self) -> tuple[MappingStatusRow, ...]:
        """Proposed mappings without a run: approvers decide on the mapping itself."""
        with_run = {each.run.mapping_id for each in (*self.waiting, *self.under_way)}
        return tuple(each for each in self.mapped if each.is_proposed and each.mapping.id not in with_run)

    @property
    def by_mapping(self) -> dict[int, MappingStatusRow]:
        """The mappings by id."""
        return {each.mapping.id: each for each in self.mapped}

    def may_start_any(self, person: str) -> bool:
        """Return whether a person may start syncs of any connection."""
        return any(permissions.may_start(each, person) for each in self.connections)

    @classmethod
    async def read(cls, services: Services, tenant: Tenant, *, with_declined: bool = False) -> Self:
        """Read the status, on request with declined mappings."""
        async with services.engine.database.read() as db:
            visible = await tenancy.connections_of(db, tenant)
            mapped = await _mapped(db, visible, with_declined=with_declined)
            unfinished = await _unfinished(db, {each.mapping.id: each for each in mapped})
            mine = {each.id for each in visible}
            open_alerts = [each for each in await alerts.current(db) if each.connection_id in mine]
        return cls(
            connections=tuple(visible),
            mapped=tuple(mapped),
            under_way=tuple(each for each in unfinished if each.run.status is not RunStatus.NEEDS_APPROVAL),
            waiting=tuple(each for each in unfinished if each.run.status is RunStatus.NEEDS_APPROVAL),
            alerts=tuple(each for each in open_alerts if each.closed_at is None),
        )


async def _mapped(db: AsyncConnection, visible: list[Connection], *, with_declined: bool) -> list[MappingStatusRow]:
    pairs = [(each, mapping) for each in visible for mapping in await mappings.of_connection(db, each.id)]
    pairs = [
        (each, mapping) for each, mapping in pairs if with_declined or mapping.status is not MappingStatus.DECLINED
    ]
    names = await lists.names(db, [each.id for each in visible])
    last = await runs.last_of_each(db, [mapping.id for _, mapping in pairs])
    now = time.time()
    return [
        MappingStatusRow(
            mapping,
            connection,
            list_name(mapping, names),
            last.get(mapping.id),
            await live_mappings.status(db, mapping.id, now) if mapping.is_live else None,
        )
        for connection, mapping in pairs
    ]


async def _unfinished(db: AsyncConnection, mapped: dict[int, MappingStatusRow]) -> list[RunInProgress]:
    active = await runs.under_way(db, list(mapped))
    return [RunInProgress(run, mapped[run.mapping_id], *await batches.progress(db, run.id)) for run in active]


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person who views the status. Buttons that they may not use are left out."""

    person: str
    is_admin: bool


async def viewer_of(services: Services, client: AsyncWebClient, team_id: str, person: str) -> Viewer:
    """Return the viewer. If Slack does not say whether they are an admin, they count as none."""
    try:
        return Viewer(person, await services.people.is_admin(client, team_id, person))
    except AdminLookupError:
        return Viewer(person, is_admin=False)
