"""The form of procrastinate's tables on PostgreSQL: the migrations of the installed release are applied at the start.

procrastinate records nowhere which of them a database has (its documentation leaves that to whoever applies them), so
we do: in the comment of its table of jobs, which a dump contains. Their files are named after releases, and are applied
in the order of these names. Migration 0037 creates the tables in the form of the release that is installed then.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import SettingsError

# What databases have that were made before this was recorded.
FIRST = "03.04.00_50_post_add_retry_failed_job_procedure"


@cache
def migrations() -> dict[str, Path]:
    """Return the migrations of the installed release, in their order, by name. procrastinate is not imported."""
    spec = find_spec("procrastinate")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "sql" / "migrations"
    return {path.stem: path for path in sorted(folder.glob("*.sql"))}


async def is_current(db: AsyncConnection) -> bool:
    """Whether a database has all migrations of the installed release, or is not PostgreSQL.

    Raises SettingsError if it has a newer one.
    """
    return await db.run_sync(_missing) == []


async def apply_next(db: AsyncConnection) -> None:
    """Apply the first missing migration, if there is one: each needs a transaction of its own.

    Raises SettingsError if the database has a newer one than the installed release.
    """
    missing = await db.run_sync(_missing)
    if missing:
        await db.exec_driver_sql(migrations()[missing[0]].read_text(encoding="utf-8").replace("%", "%%"))
        await db.run_sync(record, missing[0])


def record(db: Connection, migration: str) -> None:
    """Record the newest migration that a database has."""
    db.exec_driver_sql(f"COMMENT ON TABLE procrastinate_jobs IS '{migration}'")


def _missing(db: Connection) -> list[str]:
    """Return the names of the missing migrations. Raises SettingsError if the database has a newer one."""
    if db.dialect.name != "postgresql":
        return []
    query = "SELECT obj_description(to_regclass('procrastinate_jobs'), 'pg_class')"
    applied: str = db.execute(text(query)).scalar() or FIRST
    newest = max(migrations())
    if applied > newest:
        raise SettingsError(
            f"The tables of the queue come from a newer release of procrastinate (they have its migration {applied}, "
            f"and the installed release ends with {newest}). Install the version of iterable-sync that was last "
            "started on this database, or the release of procrastinate that was installed with it."
        )
    return [name for name in migrations() if name > applied]
