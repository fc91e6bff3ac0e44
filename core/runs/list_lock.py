"""The list lock: one run at a time works on a list, across all processes."""

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
async def hold_list_lock(engine: Engine, run: Run) -> AsyncIterator[None]:
    """Hold the lock of the run's list for the length of the block. Waits until the list is free.

    Raises RunStoppedError if the run is to stop, and TakenOverError if it belongs to another process.
    """
    list_key = (run.connection_id, run.list_id)
    while not await _acquire(engine, run, list_key):
        async with engine.database.read() as db:
            state = await lists.get(db, *list_key)
        if state is None:  # the list was created meanwhile and has another id now
            run = await require_run(engine, run.id)
            list_key = (run.connection_id, run.list_id)
            continue
        holder = state.locked_by_worker_id
        if holder is not None and await engine.presence.is_dead(holder) and await engine.presence.reap_dead_workers():
            continue
        if state.locked_by_run_id is not None:
            await wait_for_run(engine, run.id, state.locked_by_run_id)
        await raise_if_stopped(engine, run.id)
        await asyncio.sleep(cancellation.LOOK_AGAIN_S)
    try:
        yield
    finally:
        await _release(engine, list_key)


async def _acquire(engine: Engine, run: Run, list_key: tuple[int, int]) -> bool:
    """Lock a list for a run if it is free. Returns whether it is locked now.

    Raises TakenOverError if the run belongs to another process.
    """
    if list_key in engine.held:
        return False
    engine.held.add(list_key)
    try:
        async with engine.database.write() as db:
            if list_key in engine.not_given_back:
                await lists.release(db, *list_key, engine.presence.id)
            await runs.take(db, run.id, engine.presence.id)
            taken = await lists.acquire(db, *list_key, run.id, engine.presence.id)
    except BaseException:  # the commit may have succeeded nevertheless
        engine.not_given_back.add(list_key)
        engine.held.discard(list_key)
        raise
    engine.not_given_back.discard(list_key)
    if not taken:
        engine.held.discard(list_key)
    return taken


async def release_stale_locks(engine: Engine) -> None:
    """Unlock the lists that could not be unlocked when their run ended. No other run gets them until then."""
    for list_key in engine.not_given_back - engine.held:
        engine.held.add(list_key)
        await _release(engine, list_key)
        engine.not_given_back.discard(list_key)


async def _release(engine: Engine, list_key: tuple[int, int]) -> None:
    try:
        async with engine.database.write() as db:
            await lists.release(db, *list_key, engine.presence.id)
    except BaseException:
        engine.not_given_back.add(list_key)
        raise
    finally:
        engine.held.discard(list_key)
