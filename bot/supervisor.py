"""Parts of the process that run beside each other: all stop together, and none stops unnoticed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from core.engine import Engine
from core.errors import SyncError

# How long the others may take to stop when a part has failed, in seconds: a batch that is under way ends in it.
GRACE_S = 15.0

#: A part: runs until the engine is stopping.
Part = Callable[[], Awaitable[None]]

logger = logging.getLogger(__name__)


class ServiceFailedError(SyncError):
    """A part ended that should not have."""

    code = "part_failed"


@asynccontextmanager
async def supervise(engine: Engine, **parts: Part) -> AsyncIterator[None]:
    """Run parts beside the block, and ask them to stop (engine.stopping) at the block's end.

    Where a part ends by itself, all are asked to stop, and its error is raised at the end: a SyncError as it is,
    anything else as a PartFailedError that came of it.
    """
    tasks: dict[str, asyncio.Task[None]] = {}
    failures: list[SyncError] = []
    async with _first_of(failures), asyncio.TaskGroup() as group:
        for name, part in parts.items():
            tasks[name] = group.create_task(_watched(engine, name, part, tasks, failures), name=name)
        try:
            yield
        finally:
            engine.stopping.set()


async def _watched(
    engine: Engine,
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
    except Exception as error:  # whatever it is, nobody else would hear of it
        logger.error("the %s stopped by an error nobody expected", name, exc_info=error)
        failure = _failed(name, f" ({type(error).__name__})")
        failure.__cause__ = error
    failures.append(failure)
    engine.stopping.set()
    if others := [task for other, task in tasks.items() if other != name and not task.done()]:
        await asyncio.wait(others, timeout=GRACE_S)
    raise failure


@asynccontextmanager
async def _first_of(failures: list[SyncError]) -> AsyncIterator[None]:
    """Raise the failure of a part, or the error of the block, and not a group of it and its consequences."""
    try:
        yield
    except BaseExceptionGroup as group:
        first = failures[0] if failures else group.exceptions[0]
        raise first from first.__cause__


def _failed(name: str, why: str) -> ServiceFailedError:
    return ServiceFailedError(
        f"The {name} stopped unexpectedly{why}, so everything was stopped. Start it again: runs go on where they were."
    )
