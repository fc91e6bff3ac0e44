"""Writes the snapshot of the schema, from which new SQLite databases are created: `python -m tools.sqlite_schema`.

See core/store/schema_snapshot.py.
"""

import asyncio
import re
import tempfile
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.database import Database
from core.store.schema_snapshot import END, SNAPSHOT
from core.store.upgrade import upgrade

_SPACE = re.compile(r"\s*\n\s*")
_REVISION = "INSERT INTO alembic_version VALUES ('{}')"


def main() -> None:
    """Write the snapshot."""
    asyncio.run(_write())


async def _write() -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'a.sqlite'}")
        async with database.restructure() as db:
            await db.run_sync(upgrade)
            SNAPSHOT.write_text(await snapshot(db), encoding="utf-8")
        await database.close()


async def snapshot(db: AsyncConnection) -> str:
    """Return the snapshot of a SQLite database in which Alembic's table is the only one with rows."""
    statements = await db.execute(text("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"))
    revision = (await db.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
    tidy = [_SPACE.sub("\n    ", statement.strip()) for statement in statements.scalars()]
    return END.join([*tidy, _REVISION.format(revision), ""])


def revision() -> str:
    """Return the revision of the snapshot that the program has."""
    return SNAPSHOT.read_text(encoding="utf-8").rpartition("('")[2].partition("'")[0]


if __name__ == "__main__":
    main()
