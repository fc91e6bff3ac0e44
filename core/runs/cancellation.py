"""Cancellation: requests to stop a run, which any process may store in the database."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar, Unpack

from core.engine import Engine
from core.models.run import RunPhase, RunStoppedError, StopReason
from core.runs.lookup import require_run
from core.store import runs
from core.store.runs import RunUpdate

T = TypeVar("T")

# How often a run checks whether its list is free, and whether it is to stop, in seconds.
LOOK_AGAIN_S = 0.3


async def stoppable(engine: Engine, run_id: str, work: Coroutine[Any, Any, T]) -> T:
    """Await work and return its result. Cancels it and raises RunStoppedError if the run is to stop meanwhile."""
    task = asyncio.create_task(work, name=f"plan {run_id}")
    try:
        while not (await asyncio.wait([task], timeout=LOOK_AGAIN_S))[0]:
            await raise_if_stopped(engine, run_id)
        return await task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def raise_if_stopped(engine: Engine, run_id: str) -> None:
    """Raise RunStoppedError if a run or this process is to stop."""
    stop = (await require_run(engine, run_id)).stop_requested
    if stop is not None or engine.stopping.is_set():
        raise RunStoppedError(stop or StopReason.INTERRUPT)


async def change(engine: Engine, run_id: str, **values: Unpack[RunUpdate]) -> None:
    """Set columns of a run."""
    async with engine.database.write() as db:
        await runs.change(db, run_id, **values)


async def wait_for_run(engine: Engine, run_id: str, earlier_id: str) -> None:
    """Record that a run waits for the end of another run."""
    async with engine.database.write() as db:
        await runs.set_phase(db, run_id, RunPhase.WAITING, waiting_for_run_id=earlier_id)
