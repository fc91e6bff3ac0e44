"""What a configuration file manages: connections, mappings, schedules and routes, each with what the file set last."""

from enum import StrEnum

from sqlalchemy import Table, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.tables import connections, mappings, routes, schedules


class Managed(StrEnum):
    """A kind of object that a configuration file describes."""

    CONNECTION = "connection"
    MAPPING = "mapping"
    SCHEDULE = "schedule"
    ROUTE = "route"


_TABLES: dict[Managed, Table] = {
    Managed.CONNECTION: connections,
    Managed.MAPPING: mappings,
    Managed.SCHEDULE: schedules,
    Managed.ROUTE: routes,
}


async def put(db: AsyncConnection, kind: Managed, object_id: int, record: str | None) -> None:
    """Store what the file set last (JSON). None: no file manages the object."""
    table = _TABLES[kind]
    await db.execute(update(table).where(table.c.id == object_id).values(managed=record))
