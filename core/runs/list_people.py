"""Who is on a list in Iterable, saved to a file; and when a list is compared with the ledger after a run."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from core import settings
from core.connections.lists import is_new_in_iterable
from core.engine import Engine
from core.models.run import Run
from core.planning import MEMORY_MB
from core.sources.duckdb_errors import is_out_of_memory
from core.store import clock, list_checks
from core.store.connections import Connection

#: A change of a list shows in its size and in its people after a while: Iterable's own client tests wait up to 60
#: seconds. Lists are checked so many seconds after a run at the earliest.
SETTLES_S = 120.0
#: How often a list is checked without a run, in seconds.
CHECK_EVERY_S = 24 * 3600.0

T = TypeVar("T")

logger = logging.getLogger(__name__)


async def save_people(engine: Engine, connection: Connection, list_id: int, directory: Path) -> Path:
    """Write the people on a list to a file in this directory, a line each, and return its path."""
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    path = directory / "people-on-list.txt"
    with path.open("w", encoding="utf-8") as file:
        async with engine.client(connection) as client:
            if await is_new_in_iterable(engine, connection.id, list_id):
                client.expect_new_list(list_id)
            async for person in client.list_users(list_id):
                file.write(f"{person}\n")
    return path


@asynccontextmanager
async def people_on_list(engine: Engine, connection: Connection, list_id: int, name: str) -> AsyncIterator[Path]:
    """Yield a file with the people on a list, a line each. It is removed at the end of the block."""
    directory = engine.settings.data_dir / settings.FETCHED / name
    try:
        yield await save_people(engine, connection, list_id, directory)
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


async def schedule_check(db: AsyncConnection, run: Run) -> None:
    """Schedule the check of a list after a run. Live changes come all the time, so they don't postpone it."""
    wait = CHECK_EVERY_S if run.request.live else SETTLES_S
    at = await clock.now(db) + wait
    await list_checks.schedule(db, run.connection_id, run.list_id, at, postpone=not run.request.live)


async def with_enough_memory(plan: Callable[[int], Awaitable[T]]) -> T:
    """Plan within the first memory limit that suffices. Raises duckdb.OutOfMemoryException if none does."""
    for memory_mb in MEMORY_MB[:-1]:
        try:
            return await plan(memory_mb)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            logger.info("planning needs more than %s MB of memory", memory_mb)
    return await plan(MEMORY_MB[-1])
