"""What a workspace may see. All that a handler looks up by an id that came with a request, it looks up here."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import Run
from core.store import alerts, connections, mappings, runs
from core.store.alerts import Alert
from core.store.connections import Connection
from core.store.mappings import AudienceMapping


@dataclass(frozen=True, slots=True)
class Tenant:
    """A Slack workspace. `with_shared`: it sees the connections of no workspace, too, because there is only one.

    `only_named` is a person who is no member of the workspace: they see the connections that name them.
    """

    team_id: str
    with_shared: bool
    only_named: str | None = None


async def connections_of(db: AsyncConnection, tenant: Tenant) -> list[Connection]:
    """Return the connections that a tenant sees, by name."""
    found = await connections.of_team(db, tenant.team_id, with_shared=tenant.with_shared)
    return [each for each in found if tenant.only_named is None or each.names(tenant.only_named)]


async def connection(db: AsyncConnection, tenant: Tenant, connection_id: int) -> Connection | None:
    """Find a connection of a tenant."""
    return next((each for each in await connections_of(db, tenant) if each.id == connection_id), None)


async def mapping(db: AsyncConnection, tenant: Tenant, mapping_id: int) -> tuple[Connection, AudienceMapping] | None:
    """Find a mapping of a tenant, with its connection."""
    found = await mappings.by_id(db, mapping_id)
    owner = await connection(db, tenant, found.connection_id) if found is not None else None
    return (owner, found) if owner is not None and found is not None else None


async def run(db: AsyncConnection, tenant: Tenant, run_id: str) -> tuple[Connection, AudienceMapping, Run] | None:
    """Find a run of a tenant, with its connection and its mapping."""
    found = await runs.by_id(db, run_id)
    of = await mapping(db, tenant, found.mapping_id) if found is not None else None
    return (*of, found) if of is not None and found is not None else None


async def alert(db: AsyncConnection, tenant: Tenant, alert_id: int) -> tuple[Connection, Alert] | None:
    """Find an alert of a tenant, with its connection."""
    found = await alerts.by_id(db, alert_id)
    owner = await connection(db, tenant, found.connection_id) if found is not None else None
    return (owner, found) if owner is not None and found is not None else None
