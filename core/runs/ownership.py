"""Writing to a run only while it is this process's: another one may have taken it over since the last write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.store import runs


@asynccontextmanager
async def owned_write(engine: Engine, run_id: str) -> AsyncIterator[AsyncConnection]:
    """Open a transaction in which a run is this process's; one that is nobody's becomes so.

    Raises TakenOverError, with nothing written, if the run is another process's.
    """
    async with engine.database.write() as db:
        await runs.take(db, run_id, engine.presence.id)
        yield db
