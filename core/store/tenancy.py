"""What a workspace may see. Handlers look up every id from a request here."""

from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import Run
from core.store import alerts, connections, mappings, runs
from core.store.alerts import Alert
from core.store.connections import Connection
from core.store.mappings import AudienceMapping


@dataclass(frozen=True, slots=True)
class Tenant:
    """A Slack workspace. `with_shared`: it also sees connections of no workspace, because it is the only one.

    `team_id` is None for the operator, who sees all connections. `only_named` is a person outside the workspace, who
    sees only the connections that name them.
    """

    team_id: str | None
    with_shared: bool
    only_named: str | None = None


def as_of_mapping(connection: Connection, mapping: AudienceMapping) -> Connection:
    """Return a connection with the operators and approvers of one of its mappings, if that has its own."""
    if not (mapping.operators or mapping.approvers):
        return connection
    return replace(
        connection,
        operators=mapping.operators or connection.operators,
        approvers=mapping.approvers or connection.approvers,
    )


async def connections_of(db: AsyncConnection, tenant: Tenant) -> list[Connection]:
    """Return the connections that a tenant sees, by name."""
    if tenant.team_id is None:
        visible = await connections.everyone(db)
    else:
        visible = await connections.of_team(db, tenant.team_id, with_shared=tenant.with_shared)
    return [connection for connection in visible if tenant.only_named is None or connection.names(tenant.only_named)]


async def connection(db: AsyncConnection, tenant: Tenant, connection_id: int) -> Connection | None:
    """Find a connection of a tenant."""
    return next((candidate for candidate in await connections_of(db, tenant) if candidate.id == connection_id), None)


async def mapping(db: AsyncConnection, tenant: Tenant, mapping_id: int) -> tuple[Connection, AudienceMapping] | None:
    """Find a mapping of a tenant, with its connection, which has the operators and approvers of the mapping."""
    mapping = await mappings.by_id(db, mapping_id)
    owner = await connection(db, tenant, mapping.connection_id) if mapping is not None else None
    return (as_of_mapping(owner, mapping), mapping) if owner is not None and mapping is not None else None


async def run(db: AsyncConnection, tenant: Tenant, run_id: str) -> tuple[Connection, AudienceMapping, Run] | None:
    """Find a run of a tenant, with its connection and its mapping."""
    run = await runs.by_id(db, run_id)
    owner = await mapping(db, tenant, run.mapping_id) if run is not None else None
    return (*owner, run) if owner is not None and run is not None else None


async def alert(db: AsyncConnection, tenant: Tenant, alert_id: int) -> tuple[Connection, Alert] | None:
    """Find an alert of a tenant, with its connection, which has the operators of the alert's mapping."""
    alert = await alerts.by_id(db, alert_id)
    owner = await connection(db, tenant, alert.connection_id) if alert is not None else None
    if alert is None or owner is None:
        return None
    mapping = await mappings.by_id(db, alert.mapping_id) if alert.mapping_id is not None else None
    return (owner if mapping is None else as_of_mapping(owner, mapping), alert)
