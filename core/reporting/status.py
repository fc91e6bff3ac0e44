"""The status of everything that a tenant sees: open alerts, syncs that wait or are under way, and the mappings."""

from dataclasses import dataclass

from core.engine import Engine
from core.models.run import Run, RunStatus
from core.store import alerts, freezes, mappings, runs, tenancy
from core.store.alerts import Alert
from core.store.freezes import Freeze
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.tenancy import Tenant

# Mappings with these statuses are left out: nothing is synced for them.
_ENDED = (MappingStatus.ARCHIVED, MappingStatus.DECLINED)


@dataclass(frozen=True, slots=True)
class StatusOfMapping:
    """A mapping, with its newest run and the freeze that holds it back. None: there is none."""

    mapping: AudienceMapping
    last: Run | None
    freeze: Freeze | None


@dataclass(frozen=True, slots=True)
class Status:
    """Alerts and runs are in the order in which they began. Mappings are by connection."""

    alerts: tuple[Alert, ...]
    waiting: tuple[Run, ...]
    """Runs that wait for approval."""
    under_way: tuple[Run, ...]
    mappings: tuple[StatusOfMapping, ...]


async def read_status(engine: Engine, tenant: Tenant) -> Status:
    """Read the status."""
    async with engine.database.read() as db:
        visible = await tenancy.connections_of(db, tenant)
        known = [each for connection in visible for each in await mappings.of_connection(db, connection.id)]
        shown = [each for each in known if each.status not in _ENDED]
        ids = [each.id for each in shown]
        last, frozen = await runs.last_of_each(db, ids), await freezes.of_mappings(db, ids)
        unfinished = await runs.under_way(db, [each.id for each in known])
        connection_ids = {each.id for each in visible}
        current = [each for each in await alerts.current(db) if each.connection_id in connection_ids]
    return Status(
        alerts=tuple(each for each in current if each.closed_at is None),
        waiting=tuple(each for each in unfinished if each.status is RunStatus.NEEDS_APPROVAL),
        under_way=tuple(each for each in unfinished if each.status is not RunStatus.NEEDS_APPROVAL),
        mappings=tuple(StatusOfMapping(each, last.get(each.id), frozen.get(each.id)) for each in shown),
    )
