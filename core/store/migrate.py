"""Migration of the database to the current version: at startup, under a lock, with no step for the operator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import SettingsError
from core.store.database import Database
from core.store.database_errors import describe, grant, identifier

MIGRATIONS = Path(__file__).parent / "migrations"
# The key of our PostgreSQL advisory lock: any number that no other program uses in this database.
MIGRATION_LOCK = 0x17E7AB1E
#: The schema of the workflow engine in PostgreSQL: its own default.
WORKFLOW_SCHEMA = "dbos"

_MAY_CREATE_SCHEMA = """
    SELECT current_user AS role, current_database() AS database,
           to_regnamespace(:schema) IS NOT NULL OR has_database_privilege(current_database(), 'CREATE') AS may_create
"""


async def migrate(database: Database) -> None:
    """Apply the missing migrations. Raises SettingsError if the database is too new or can't be used."""
    try:
        async with database.read() as connection:
            if await is_current(connection):
                return
        async with database.restructure() as connection:
            if not database.is_sqlite:  # SQLite's one write lock is held already
                await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            if not await is_current(connection):
                # rarely needed, and takes a tenth of a second to import
                from core.store.upgrade import upgrade

                await connection.run_sync(upgrade)
    except (DBAPIError, OSError) as error:
        raise SettingsError(describe(error, database.role)) from error


@asynccontextmanager
async def changing_workflow_tables(database: Database) -> AsyncIterator[None]:
    """Let one process at a time create or change the tables of the workflow engine, in the block.

    The engine's own lock belongs to a session, so it has no effect behind a pooler in transaction mode. Raises
    SettingsError if its schema is missing and the role may not create it.
    """
    if database.is_sqlite:
        yield
        return
    try:
        async with database.write() as db:
            await db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            await check_workflow_schema(database, db)
            # A statement with parameters keeps its snapshot to the next one, and CREATE INDEX CONCURRENTLY would wait
            # for the end of this transaction. One without parameters does not.
            await db.exec_driver_sql("SELECT 1")
            yield
    except DBAPIError as error:
        raise SettingsError(describe(error, database.role)) from error


async def check_workflow_schema(database: Database, db: AsyncConnection) -> None:
    """Raise SettingsError if the workflow engine's schema is missing in PostgreSQL and the role may not create it."""
    access = (await db.execute(text(_MAY_CREATE_SCHEMA), {"schema": WORKFLOW_SCHEMA})).one()
    if not access.may_create:
        raise SettingsError(
            f"The role {access.role} may not create the schema {WORKFLOW_SCHEMA}, which the program needs "
            f"in addition to its tables. Let the owner of the database do one of these: "
            f"{grant(f'CREATE ON DATABASE {identifier(access.database)}', access.role)} or CREATE SCHEMA "
            f"{WORKFLOW_SCHEMA} AUTHORIZATION {identifier(access.role)};"
        )


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
