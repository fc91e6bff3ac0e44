"""Finds mappings by what people call them."""

from core.engine import Engine
from core.store import mappings, tenancy
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.tenancy import Tenant


async def find(engine: Engine, tenant: Tenant, text: str) -> list[tuple[Connection, AudienceMapping]]:
    """Return a tenant's mappings whose audience, list id or id equals the text. If none does, those that contain it.

    Each connection has the operators and approvers of its mapping.

    Archived ones are returned only if a text equals their name or id. An empty text returns all mappings.
    """
    wanted = text.strip().casefold()
    pairs = await _everyone(engine, tenant)
    exact = [pair for pair in pairs if wanted in _names(pair[1])]
    return exact or [
        pair
        for pair in pairs
        if pair[1].status is not MappingStatus.ARCHIVED and any(wanted in name for name in _names(pair[1]))
    ]


async def archived(engine: Engine, tenant: Tenant) -> list[tuple[Connection, AudienceMapping]]:
    """Return a tenant's archived mappings."""
    return [pair for pair in await _everyone(engine, tenant) if pair[1].status is MappingStatus.ARCHIVED]


async def _everyone(engine: Engine, tenant: Tenant) -> list[tuple[Connection, AudienceMapping]]:
    pairs: list[tuple[Connection, AudienceMapping]] = []
    async with engine.database.read() as db:
        for connection in await tenancy.connections_of(db, tenant):
            of_connection = await mappings.of_connection(db, connection.id)
            pairs += [(tenancy.as_of_mapping(connection, mapping), mapping) for mapping in of_connection]
    return pairs


def _names(mapping: AudienceMapping) -> list[str]:
    names = (mapping.label, mapping.audience_name, mapping.audience_id, str(mapping.list_id), str(mapping.id))
    return [name.casefold() for name in names if name]
