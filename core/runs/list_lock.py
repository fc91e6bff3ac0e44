"""The list lock: one run at a time works on a list, across all processes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.models.run import Run
from core.runs import cancellation
from core.runs.cancellation import raise_if_stopped, wait_for_run
from core.runs.lookup import require_run
from core.store import lists, runs

T = TypeVar("T")


@dataclass(slots=True)
class ListHold(Generic[T]):
    """The lock of a list, while a run holds it. `begun` is what the first transaction under the lock returned."""

    begun: T
    _list_key: tuple[int, int]
    _worker: str
    is_released: bool = False
    """Set this when a transaction with `release` is committed."""

    async def release(self, db: AsyncConnection) -> None:
        """Release the lock in the caller's transaction, which ends the run."""
        await lists.release(db, *self._list_key, self._worker)


@asynccontextmanager
async def hold_list_lock(
    engine: Engine, run: Run, begin: Callable[[AsyncConnection], Awaitable[T]]
) -> AsyncIterator[ListHold[T]]:
    """Hold the lock of the run's list for the length of the block. Waits until the list is free.

    `begin` is called in the transaction that acquires the lock. Raises RunStoppedError if the run is to stop, and
    TakenOverError if it belongs to another process.
    """
    list_key = (run.connection_id, run.list_id)
    while (hold := await _acquire(engine, run, list_key, begin)) is None:
        async with engine.database.read() as db:
            state = await lists.get(db, *list_key)
        if state is None:  # the list was created meanwhile and has another id now
            run = await require_run(engine, run.id)
            list_key = (run.connection_id, run.list_id)
        holder = None if state is None else state.locked_by_worker_id
        if holder is not None and await engine.presence.is_dead(holder) and await engine.presence.reap_dead_workers():
            continue
        if state is not None and state.locked_by_run_id is not None:
            await wait_for_run(engine, run.id, state.locked_by_run_id)
        await raise_if_stopped(engine, run.id)
        await asyncio.sleep(cancellation.LOOK_AGAIN_S)
    async with _until_released(engine, list_key, hold):
        yield hold


@asynccontextmanager
async def keep_list_lock(engine: Engine, run: Run) -> AsyncIterator[ListHold[Run]]:
    """Keep the lock of the run's list, which the caller has acquired with the run, for the length of the block."""
    list_key = (run.connection_id, run.list_id)
    hold = ListHold(run, list_key, engine.presence.id)
    async with _until_released(engine, list_key, hold):
        yield hold


@asynccontextmanager
async def _until_released(engine: Engine, list_key: tuple[int, int], hold: ListHold[T]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if hold.is_released:
            engine.held.discard(list_key)
        else:
            await _release(engine, list_key)


async def _acquire(
    engine: Engine, run: Run, list_key: tuple[int, int], begin: Callable[[AsyncConnection], Awaitable[T]]
) -> ListHold[T] | None:
    """Lock a list for a run, and begin, if the list is free. Returns None if it is not.

    Raises TakenOverError if the run belongs to another process.
    """
    if list_key in engine.held:
        return None
    engine.held.add(list_key)
    hold: ListHold[T] | None = None
    try:
        async with engine.database.write() as db:
            if list_key in engine.not_given_back:
                await lists.release(db, *list_key, engine.presence.id)
            await runs.take(db, run.id, engine.presence.id)
            if await lists.acquire(db, *list_key, run.id, engine.presence.id):
                hold = ListHold(await begin(db), list_key, engine.presence.id)
    except BaseException:  # the commit may have succeeded nevertheless
        engine.not_given_back.add(list_key)
        engine.held.discard(list_key)
        raise
    engine.not_given_back.discard(list_key)
    if hold is None:
        engine.held.discard(list_key)
    return hold


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
