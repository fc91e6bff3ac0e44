"""The snapshot of the schema: a new SQLite database gets its tables from one file, not from each migration in turn.

Alembic and thirty migrations take a third of a second, more than all other work of a command on a new database. The
snapshot (`python -m tools.sqlite_schema` writes it) may be older than the newest migration: the rest is migrated.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

MIGRATIONS = Path(__file__).parent / "migrations"
SNAPSHOT = MIGRATIONS / "sqlite.sql"
#: The end of a statement in the snapshot. None contains it.
END = ";\n"


async def create_tables(db: AsyncConnection) -> None:
    """Create all tables, if the database is an empty one of SQLite."""
    if db.dialect.name != "sqlite" or (await db.execute(text("SELECT 1 FROM sqlite_schema LIMIT 1"))).first():
        return
    statements = SNAPSHOT.read_text(encoding="utf-8").removesuffix(END).split(END)
    driver: Any = (await db.get_raw_connection()).driver_connection
    await driver.execute_all(statements)
