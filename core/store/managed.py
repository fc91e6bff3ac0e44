"""What a configuration file manages: connections, mappings, schedules and routes, each with what the file set last."""

from enum import StrEnum

from sqlalchemy import Table, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import ConflictError
from core.store.audit_log import CONFIGURATION
from core.store.tables import connections, mappings, routes, schedules


class ManagedByFileError(ConflictError):
    """A configuration file manages the object, so a person can't change it."""

    code = "managed_by_file"


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


def check_by_hand(name: str, record: str | None, by: str) -> None:
    """Raise ManagedByFileError if a person (`by`) changes an object that a file manages: it has a record."""
    if record is not None and by != CONFIGURATION:
        raise ManagedByFileError(f"A configuration file manages {name}. Change it there, and apply the file.")


async def put(db: AsyncConnection, kind: Managed, object_id: int, record: str | None) -> None:
    """Store what the file set last (JSON). None: no file manages the object."""
    table = _TABLES[kind]
    await db.execute(update(table).where(table.c.id == object_id).values(managed=record))
