"""Bringing the database to the present form, at start and under a lock, with no step for the operator."""

from functools import cache
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import SettingsError
from core.store.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"
# A PostgreSQL advisory lock of our own: any number will do that nobody else uses in this database.
MIGRATION_LOCK = 0x17E7AB1E


async def migrate(database: Database) -> None:
    """Apply the migrations that are missing. Raises SettingsError where the database is too new, or unusable."""
    try:
        async with database.write() as connection:
            if not database.is_sqlite:  # SQLite's one write lock is held already
                await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            if not await is_current(connection):
                # seldom needed, and takes a tenth of a second to import
                from core.store.upgrade import upgrade

                await connection.run_sync(upgrade)
    except (DBAPIError, OSError) as error:
        raise SettingsError(describe(error)) from error


def describe(error: Exception) -> str:
    """Return a sentence for an error of the database: what is wrong and what to do."""
    cause = str(getattr(error, "orig", error)).strip().split("\n")[0]
    lowered = cause.lower()
    for words, sentence in _SENTENCES:
        if any(each in lowered for each in words):
            return sentence.format(cause=cause)
    return f"The database did not answer as it should ({cause}). Check ITERABLE_SYNC_DATABASE_URL and the server."


# By words in what the database says: what is wrong, and what to do.
_SENTENCES = (
    (
        ("read-only transaction",),
        (
            "The database takes no changes ({cause}): it is a standby, or set to be read-only. Let it take them, or "
            "set ITERABLE_SYNC_DATABASE_URL to the primary server."
        ),
    ),
    (
        ("readonly", "unable to open", "permission"),
        "The database can't be written ({cause}). Make the data directory writable, or set ITERABLE_SYNC_DATA_DIR.",
    ),
    (
        ("disk i/o",),
        (
            "The disk could not be read or written ({cause}). Free some space, or see what is wrong with it, and start "
            "again: nothing is lost, and a run goes on."
        ),
    ),
    (
        ("full", "no space"),
        "The disk is full. Free some space and start again: nothing is lost, and a run goes on.",
    ),
    (
        ("not a database", "malformed"),
        "The database file is damaged ({cause}). Restore it from a backup, or move it away to begin anew.",
    ),
    (
        ("locked",),
        "The database is locked by another program. End that program (a backup, a database browser) and try again.",
    ),
)


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
