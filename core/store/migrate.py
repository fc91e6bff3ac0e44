"""Bringing the database to the present form, at start and under a lock, with no step for the operator."""

from functools import cache
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import SettingsError
from core.store.database import Database
from core.store.database_errors import describe

MIGRATIONS = Path(__file__).parent / "migrations"
# A PostgreSQL advisory lock of our own: any number will do that nobody else uses in this database.
MIGRATION_LOCK = 0x17E7AB1E


async def migrate(database: Database) -> None:
    """Apply the migrations that are missing. Raises SettingsError where the database is too new, or unusable."""
    try:
        async with database.read() as connection:
            if await is_current(connection):
                return
        async with database.restructure() as connection:
            if not database.is_sqlite:  # SQLite's one write lock is held already
                await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            if not await is_current(connection):
                # seldom needed, and takes a tenth of a second to import
                from core.store.upgrade import upgrade

                await connection.run_sync(upgrade)
    except (DBAPIError, OSError) as error:
        raise SettingsError(describe(error)) from error


async def is_current(db: AsyncConnection) -> bool:
    """Whether the database is in the form that this program knows."""
    return await db.run_sync(_form) == newest()


@cache
def newest() -> str:
    """The form that this program knows: each migration's file is named after the form that it leads to."""
    return max(path.name for path in MIGRATIONS.glob("versions/*.py")).partition("_")[0]


def _form(connection: Connection) -> str | None:
    """The form in which a database is; None where it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
