"""One run at a time for a list, across all processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from core.engine import Engine
from core.models.run import Run
from core.runs import cancellation
from core.runs.cancellation import raise_if_stopped, wait_for_run
from core.runs.lookup import require_run
from core.store import lists, runs


@asynccontextmanager
async def hold_list_lock(engine: Engine, this: Run) -> AsyncIterator[None]:
    """Hold the run's list for the length of the block: one run at a time for a list, across all processes."""
    where = (this.connection_id, this.list_id)
    while not await _hold(engine, this, where):
        async with engine.database.read() as db:
            state = await lists.get(db, *where)
        if state is None:  # the list was created meanwhile, and has another id now
            this = await require_run(engine, this.id)
            where = (this.connection_id, this.list_id)
            continue
        holder = state.locked_by_worker_id
        if holder is not None and await engine.presence.is_dead(holder) and await engine.presence.reap_dead_workers():
            continue
        if state.locked_by_run_id is not None:
            await wait_for_run(engine, this.id, state.locked_by_run_id)
        await raise_if_stopped(engine, this.id)
        await asyncio.sleep(cancellation.LOOK_AGAIN_S)
    try:
        yield
    finally:
        await _give_back(engine, where)


async def _hold(engine: Engine, this: Run, where: tuple[int, int]) -> bool:
    """Take a list for a run, if nobody has it. Returns whether it is taken now.

    Raises TakenOverError if the run is another process's.
    """
    if where in engine.held:
        return False
    engine.held.add(where)
    try:
        async with engine.database.write() as db:
            if where in engine.not_given_back:
                await lists.release(db, *where, engine.presence.id)
            await runs.take(db, this.id, engine.presence.id)
            taken = await lists.acquire(db, *where, this.id, engine.presence.id)
    except BaseException:  # and yet it may be taken
        engine.not_given_back.add(where)
        engine.held.discard(where)
        raise
    engine.not_given_back.discard(where)
    if not taken:
        engine.held.discard(where)
    return taken


async def release_stale_locks(engine: Engine) -> None:
    """Give the lists back that could not be given back when a run had ended: nobody else can have them till then."""
    for where in engine.not_given_back - engine.held:
        engine.held.add(where)
        await _give_back(engine, where)
        engine.not_given_back.discard(where)


async def _give_back(engine: Engine, where: tuple[int, int]) -> None:
    try:
        async with engine.database.write() as db:
            await lists.release(db, *where, engine.presence.id)
    except BaseException:
        engine.not_given_back.add(where)
        raise
    finally:
        engine.held.discard(where)
