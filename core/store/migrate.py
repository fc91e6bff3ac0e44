"""Migration of the database to the current version: at startup, under a lock, with no step for the operator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import SettingsError
from core.store import job_queue_schema
from core.store.database import Database
from core.store.database_errors import describe
from core.store.schema_snapshot import MIGRATIONS, create_tables

# The key of our PostgreSQL advisory lock: any number that no other program uses in this database.
MIGRATION_LOCK = 0x17E7AB1E


async def migrate(database: Database) -> None:
    """Apply the missing migrations. Raises SettingsError if the database is too new or can't be used."""
    try:
        async with database.read() as connection:
            if await is_current(connection) and await job_queue_schema.is_current(connection):
                return
        async with _restructuring(database) as connection:
            await create_tables(connection)
            if not await is_current(connection):
                # rarely needed, and takes a tenth of a second to import
                from core.store.upgrade import upgrade

                await connection.run_sync(upgrade)
            is_done = await job_queue_schema.is_current(connection)
        while not is_done:
            async with _restructuring(database) as connection:
                await job_queue_schema.apply_next(connection)
                is_done = await job_queue_schema.is_current(connection)
    except (DBAPIError, OSError) as error:
        raise SettingsError(describe(error, database.role)) from error


@asynccontextmanager
async def _restructuring(database: Database) -> AsyncIterator[AsyncConnection]:
    """A transaction that changes the schema. Other processes wait for its end."""
    async with database.restructure() as connection:
        if not database.is_sqlite:  # SQLite's one write lock is held already
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        yield connection


async def is_current(db: AsyncConnection) -> bool:
    """Whether the database has the newest version that this program knows."""
    return await db.run_sync(_form) == newest()


@cache
def newest() -> str:
    """Return the newest version: the name of a migration's file starts with the version that it leads to."""
    return max(path.name for path in MIGRATIONS.glob("versions/*.py")).partition("_")[0]


def _form(connection: Connection) -> str | None:
    """Return the version of a database, or None if it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return version
