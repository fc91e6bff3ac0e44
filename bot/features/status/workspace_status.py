"""The status of a workspace, for the home page and for `status`."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.features.mapping_lookup import list_name
from bot.services import Services
from bot.slack.admins import AdminLookupError
from core.connections import permissions
from core.models.run import Run, RunStatus
from core.mparticle.models import KnownAudiences, ListedAudience
from core.store import (
    alerts,
    batches,
    campaigns,
    clock,
    freezes,
    lists,
    live_mappings,
    mappings,
    mparticle_accounts,
    run_history,
    runs,
    schedules,
    tenancy,
)
from core.store.alerts import Alert
from core.store.campaigns import ListCampaign
from core.store.connections import Connection
from core.store.freezes import Freeze
from core.store.live_mappings import LiveStatus
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.mparticle_accounts import MParticleAccount
from core.store.run_history import ListSizes
from core.store.schedules import Schedule, Trigger
from core.store.tenancy import Tenant

# The status waits for mParticle no longer than this, in seconds.
AUDIENCES_WITHIN_S = 1.0
# The number of syncs in the chart of a mapping.
CHARTED = 20
#: The most mappings whose trends are read for a message.
MOST_WITH_TRENDS = 50


@dataclass(frozen=True, slots=True)
class MappingStatusRow:
    """A mapping with its newest run (`last`) or, if it is live, its numbers (`live`).

    `audience` is what mParticle counts, and `synced` how many people are synced; None if mParticle was not asked.
    `campaigns` are those of its list that are due. `sizes` and `next_sync` are set by `with_trends`: the sizes of the
    list after its last syncs, and the schedule that fires next. `account` is the connection's access to mParticle.
    """

    mapping: AudienceMapping
    connection: Connection
    list_name: str
    last: Run | None
    live: LiveStatus | None
    audience: ListedAudience | None = None
    synced: int | None = None
    freeze: Freeze | None = None
    campaigns: tuple[ListCampaign, ...] = ()
    sizes: ListSizes | None = None
    next_sync: Schedule | None = None
    account: MParticleAccount | None = None

    @property
    def is_proposed(self) -> bool:
        """Whether the mapping waits for approval."""
        return self.mapping.status is MappingStatus.PROPOSED

    @property
    def needs_decision(self) -> bool:
        """Whether an approver decides about the people of an approved live mapping."""
        if self.live is None:
            return False
        if self.mapping.status is MappingStatus.PAUSED:
            return self.mapping.disconnected_at is not None
        return self.mapping.status is MappingStatus.ACTIVE and bool(self.live.waiting)


@dataclass(frozen=True, slots=True)
class RunInProgress:
    """A run that has not ended, with its progress in changes, and the address of its message (see `with_links`)."""

    run: Run
    mapped: MappingStatusRow
    done: int
    total: int
    link: str | None = None


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """The status of everything that a workspace sees, in the order in which it is shown."""

    connections: tuple[Connection, ...]
    mapped: tuple[MappingStatusRow, ...]
    under_way: tuple[RunInProgress, ...]
    waiting: tuple[RunInProgress, ...]
    """Runs that wait for approval, the longest waiting first."""
    alerts: tuple[Alert, ...]
    accounts: Mapping[int, MParticleAccount]
    """The access to mParticle's audiences, by connection id."""

    @property
    def unapproved(self) -> tuple[MappingStatusRow, ...]:
        """Proposed mappings without a run: approvers decide on the mapping itself."""
        with_run = {each.run.mapping_id for each in (*self.waiting, *self.under_way)}
        return tuple(each for each in self.mapped if each.is_proposed and each.mapping.id not in with_run)

    @property
    def undecided(self) -> tuple[MappingStatusRow, ...]:
        """Approved live mappings about which an approver decides: removals that wait, or the people of a disconnected
        audience."""
        return tuple(each for each in self.mapped if each.needs_decision)

    @property
    def by_mapping(self) -> dict[int, MappingStatusRow]:
        """The mappings by id."""
        return {each.mapping.id: each for each in self.mapped}

    def may_start_any(self, person: str) -> bool:
        """Return whether a person may start syncs of any connection or mapping."""
        connections = (*self.connections, *(each.connection for each in self.mapped))
        return any(permissions.may_start(each, person) for each in connections)

    @classmethod
    async def read(
        cls, services: Services, tenant: Tenant, *, with_declined: bool = False, with_audiences: bool = False
    ) -> Self:
        """Read the status, on request with declined mappings, and with the sizes that mParticle counts."""
        async with services.engine.database.read() as db:
            visible = await tenancy.connections_of(db, tenant)
            mapped = await _mapped(db, visible, with_declined=with_declined)
            unfinished = await _unfinished(db, {each.mapping.id: each for each in mapped})
            mine = {each.id for each in visible}
            open_alerts = [each for each in await alerts.current(db) if each.connection_id in mine]
            accounts = await mparticle_accounts.of_connections(db, list(mine))
            mapped = [replace(each, account=accounts.get(each.connection.id)) for each in mapped]
            asked = [each.mapping.id for each in mapped if with_audiences and each.connection.id in accounts]
            sizes = await mappings.sizes(db, asked) if asked else {}
        if asked:
            known = await _audiences(services, [each for each in visible if each.id in accounts])
            mapped = [_with_audience(each, known.get(each.connection.id), sizes) for each in mapped]
        of_mapping = await services.with_groups([each.connection for each in mapped])
        mapped = [replace(each, connection=known) for each, known in zip(mapped, of_mapping, strict=True)]
        by_id = {each.mapping.id: each for each in mapped}
        unfinished = [replace(each, mapped=by_id[each.run.mapping_id]) for each in unfinished]
        return cls(
            connections=tuple(await services.with_groups(visible)),
            mapped=tuple(mapped),
            under_way=tuple(each for each in unfinished if each.run.status is not RunStatus.NEEDS_APPROVAL),
            waiting=tuple(each for each in unfinished if each.run.status is RunStatus.NEEDS_APPROVAL),
            alerts=tuple(each for each in open_alerts if each.closed_at is None),
            accounts=accounts,
        )


async def _audiences(services: Services, asked: Sequence[Connection]) -> dict[int, KnownAudiences]:
    """Return mParticle's audiences by connection id, as far as mParticle answers within a second."""
    answers = await asyncio.gather(
        *(services.audiences.get(each, within=AUDIENCES_WITHIN_S) for each in asked), return_exceptions=True
    )
    return {each.id: known for each, known in zip(asked, answers, strict=True) if isinstance(known, KnownAudiences)}


def _with_audience(row: MappingStatusRow, known: KnownAudiences | None, sizes: Mapping[int, int]) -> MappingStatusRow:
    audience = None if known is None else known.of(row.mapping.audience_id, row.mapping.audience_name)
    if audience is None or audience.size is None:
        return row
    return replace(row, audience=audience, synced=sizes.get(row.mapping.id, 0))


async def _mapped(db: AsyncConnection, visible: list[Connection], *, with_declined: bool) -> list[MappingStatusRow]:
    pairs = [(each, mapping) for each in visible for mapping in await mappings.of_connection(db, each.id)]
    hidden = {MappingStatus.ARCHIVED} if with_declined else {MappingStatus.ARCHIVED, MappingStatus.DECLINED}
    pairs = [(each, mapping) for each, mapping in pairs if mapping.status not in hidden]
    names = await lists.names(db, [each.id for each in visible])
    last = await runs.last_of_each(db, [mapping.id for _, mapping in pairs])
    frozen = await freezes.of_mappings(db, [mapping.id for _, mapping in pairs])
    due = await campaigns.of_connections(db, [each.id for each in visible])
    now = await clock.now(db) if any(mapping.is_live for _, mapping in pairs) else 0.0
    return [
        MappingStatusRow(
            mapping,
            tenancy.as_of_mapping(connection, mapping),
            list_name(mapping, names),
            last.get(mapping.id),
            await live_mappings.status(db, mapping.id, now) if mapping.is_live else None,
            freeze=frozen.get(mapping.id),
            campaigns=tuple(due.get((connection.id, mapping.list_id), ())),
        )
        for connection, mapping in pairs
    ]


async def with_trends(services: Services, rows: Sequence[MappingStatusRow]) -> tuple[MappingStatusRow, ...]:
    """Return mappings with the sizes of their lists after the last syncs, and the schedules that fire next.

    Give those that are shown, at most some dozens: the database is asked about each.
    """
    async with services.engine.database.read() as db:
        sizes = await run_history.list_sizes(db, [row.mapping.id for row in rows], CHARTED)
        planned = await schedules.of_connections(db, {row.connection.id for row in rows})
    by_mapping: dict[int, Schedule] = {}
    for schedule in sorted((each for each in planned if not each.is_paused), key=_due_order):
        by_mapping.setdefault(schedule.mapping_id, schedule)
    return tuple(
        replace(row, sizes=sizes.get(row.mapping.id), next_sync=by_mapping.get(row.mapping.id)) for row in rows
    )


async def with_links(services: Services, team_id: str, overview: WorkspaceStatus) -> WorkspaceStatus:
    """Return a status whose runs have links to their messages."""
    links = await services.run_links(team_id, [each.run.id for each in (*overview.under_way, *overview.waiting)])
    linked = [
        tuple(replace(each, link=links.get(each.run.id)) for each in items)
        for items in (overview.under_way, overview.waiting)
    ]
    return replace(overview, under_way=linked[0], waiting=linked[1])


def _due_order(schedule: Schedule) -> tuple[bool, float]:
    """Return the order in which schedules fire; those that wait for an event are the last."""
    is_timed = schedule.trigger is Trigger.CRON and schedule.next_due_at is not None
    return not is_timed, schedule.next_due_at or 0.0


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
