"""How everything that a workspace sees stands: one reading of the database, for the home page and for `status`."""

import time
from dataclasses import dataclass
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.services import Services
from core.connections import permissions
from core.models.run import Run, RunStatus
from core.store import alerts, batches, connections, lists, live_mappings, mappings, runs
from core.store.alerts import Alert
from core.store.connections import Connection
from core.store.live_mappings import LiveStatus
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus


@dataclass(frozen=True, slots=True)
class MappingStatusRow:
    """A mapping with what belongs to it. `last` is its newest run; `live` how it stands where mParticle feeds it."""

    mapping: AudienceMapping
    connection: Connection
    list_name: str
    last: Run | None
    live: LiveStatus | None

    @property
    def is_proposed(self) -> bool:
        """Whether nobody has approved it yet."""
        return self.mapping.status is MappingStatus.PROPOSED


@dataclass(frozen=True, slots=True)
class RunInProgress:
    """A run that has not ended, with how many of its changes are done, and how many there are."""

    run: Run
    mapped: MappingStatusRow
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """Everything that a workspace sees, each part in the order in which it is shown."""

    connections: tuple[Connection, ...]
    mapped: tuple[MappingStatusRow, ...]
    under_way: tuple[RunInProgress, ...]
    waiting: tuple[RunInProgress, ...]
    """Runs that wait for approval, the longest first."""
    alerts: tuple[Alert, ...]

    @property
    def unapproved(self) -> tuple[MappingStatusRow, ...]:
        """Proposed mappings of which no run waits: they are to be decided by themselves."""
        with_run = {each.run.mapping_id for each in (*self.waiting, *self.under_way)}
        return tuple(each for each in self.mapped if each.is_proposed and each.mapping.id not in with_run)

    @property
    def by_mapping(self) -> dict[int, MappingStatusRow]:
        """The mappings by their ids."""
        return {each.mapping.id: each for each in self.mapped}

    def may_start_any(self, person: str) -> bool:
        """Whether a person may start syncs with any of the connections."""
        return any(permissions.may_start(each, person) for each in self.connections)

    @classmethod
    async def read(cls, services: Services, team_id: str, *, with_declined: bool = False) -> Self:
        """Read how everything stands; on request with the mappings that were declined."""
        async with services.engine.database.read() as db:
            known = await connections.of_team(db, team_id, with_shared=services.one_workspace)
            mapped = await _mapped(db, known, with_declined=with_declined)
            unfinished = await _unfinished(db, {each.mapping.id: each for each in mapped})
            mine = {each.id for each in known}
            found = [each for each in await alerts.current(db) if each.connection_id in mine]
        return cls(
            connections=tuple(known),
            mapped=tuple(mapped),
            under_way=tuple(each for each in unfinished if each.run.status is not RunStatus.NEEDS_APPROVAL),
            waiting=tuple(each for each in unfinished if each.run.status is RunStatus.NEEDS_APPROVAL),
            alerts=tuple(each for each in found if each.closed_at is None),
        )


async def _mapped(db: AsyncConnection, known: list[Connection], *, with_declined: bool) -> list[MappingStatusRow]:
    pairs = [(each, mapping) for each in known for mapping in await mappings.of_connection(db, each.id)]
    pairs = [
        (each, mapping) for each, mapping in pairs if with_declined or mapping.status is not MappingStatus.DECLINED
    ]
    names = await lists.names(db, [each.id for each in known])
    last = await runs.last_of_each(db, [mapping.id for _, mapping in pairs])
    now = time.time()
    return [
        MappingStatusRow(
            mapping,
            connection,
            list_name(names, mapping),
            last.get(mapping.id),
            await live_mappings.status(db, mapping.id, now) if mapping.is_live else None,
        )
        for connection, mapping in pairs
    ]


def list_name(names: dict[tuple[int, int], str], mapping: AudienceMapping) -> str:
    """What the list of a mapping is called."""
    if mapping.list_id == NO_LIST:
        return "no list yet"
    return names.get((mapping.connection_id, mapping.list_id)) or f"list {mapping.list_id}"


async def _unfinished(db: AsyncConnection, mapped: dict[int, MappingStatusRow]) -> list[RunInProgress]:
    found = await runs.under_way(db, list(mapped))
    return [RunInProgress(run, mapped[run.mapping_id], *await batches.progress(db, run.id)) for run in found]
