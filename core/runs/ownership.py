"""Ownership of a run: a process writes to a run only while the run is its own. Another may have taken it over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.store import runs


@asynccontextmanager
async def owned_write(engine: Engine, run_id: str) -> AsyncIterator[AsyncConnection]:
    """Open a transaction in which this process owns a run. A run without a worker is assigned to it.

    Raises TakenOverError, with nothing written, if the run belongs to another process.
    """
    async with engine.database.write() as db:
        await runs.take(db, run_id, engine.presence.id)
        yield db
