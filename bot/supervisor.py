"""The supervisor of long-running services: if one fails, all are stopped and the failure is raised."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from core.errors import SyncError

if TYPE_CHECKING:
    from core.engine import Engine

# How long the other services may take to stop, in seconds. A batch in progress finishes within this time.
GRACE_S = 15.0

#: A long-running service: runs until the engine is stopping.
Part = Callable[[], Awaitable[None]]

logger = logging.getLogger(__name__)


class ServiceFailedError(SyncError):
    """A service ended unexpectedly."""

    code = "part_failed"


@asynccontextmanager
async def supervise(engine: "Engine", **parts: Part) -> AsyncIterator[None]:
    """Run services for the length of the block, and stop them (engine.stopping) at its end.

    If a service ends by itself, all are stopped, and at the end of the block its error is raised: a SyncError
    unchanged, any other error as a ServiceFailedError.
    """
    tasks: dict[str, asyncio.Task[None]] = {}
    failures: list[SyncError] = []
    async with _first_failure(failures), asyncio.TaskGroup() as group:
        for name, part in parts.items():
            tasks[name] = group.create_task(_watched(engine, name, part, tasks, failures), name=name)
        try:
            yield
        finally:
            engine.stopping.set()


async def _watched(
    engine: "Engine",
    name: str,
    part: Part,
    tasks: dict[str, asyncio.Task[None]],
    failures: list[SyncError],
) -> None:
    try:
        await part()
        if engine.stopping.is_set():
            return
        failure: SyncError = _failed(name, "")
    except SyncError as error:
        failure = error
    except Exception as error:  # no caller sees the error of a task
        logger.error("the %s stopped because of an unexpected error", name, exc_info=error)
        failure = _failed(name, f" ({type(error).__name__})")
        failure.__cause__ = error
    failures.append(failure)
    engine.stopping.set()
    if others := [task for other, task in tasks.items() if other != name and not task.done()]:
        await asyncio.wait(others, timeout=GRACE_S)
    raise failure


@asynccontextmanager
async def _first_failure(failures: list[SyncError]) -> AsyncIterator[None]:
    """Raise the first failure of a service, or the error of the block, instead of an exception group."""
    try:
        yield
    except BaseExceptionGroup as group:
        first = failures[0] if failures else group.exceptions[0]
        raise first from first.__cause__


def _failed(name: str, why: str) -> ServiceFailedError:
    return ServiceFailedError(
        f"The {name} stopped unexpectedly{why}, so everything was stopped. Start it again: "
        "runs resume where they stopped."
    )


async def first_of(*awaitables: Awaitable[Any]) -> None:
    """Wait until the first of these ends, and cancel the others. Raises its error if it failed."""
    tasks = [asyncio.ensure_future(each) for each in awaitables]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
