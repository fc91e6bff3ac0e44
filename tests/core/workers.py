"""The workers of `serve`: they execute queued runs and deliver live changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from bot.supervisor import supervise
from core import live
from core.engine import Engine
from core.runs import worker
from core.store import live_mappings, live_work, runs
from tests.core.harness import until

#: How long workers may take for all of their work, in seconds: the machine may be busy.
PATIENCE_S = 180.0


@asynccontextmanager
async def serving_workers(engine: Engine) -> AsyncIterator[None]:
    """Run the workers for the length of the block."""
    async with supervise(engine, worker=partial(worker.run_worker, engine), live=partial(live.work, engine)):
        yield


async def no_work_left(engine: Engine) -> None:
    """Wait until no run is unfinished, and no live change waits that may be delivered."""

    async def is_nothing_left() -> bool:
        async with engine.database.read() as db:
            if await runs.unfinished(db) or await live_mappings.unended(db):
                return False
            return not await live_work.pending(db, 0.0, 1)

    await until(is_nothing_left, PATIENCE_S)


async def finish_all(engine: Engine) -> None:
    """Run the workers until no work is left. The engine is not stopped then."""
    async with serving_workers(engine):
        await no_work_left(engine)
    engine.stopping.clear()
