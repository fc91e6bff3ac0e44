"""The outcome of a run: whatever ends it is recorded as its status, with an error that a person understands."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps

from core.engine import Engine, wait_for_any
from core.errors import AmbiguousColumnsError, StorageError, SyncError, UnexpectedError
from core.lease import LeaseLostError
from core.models.run import PROCESS_DIED, RunFrozenError, RunPhase, RunStatus, RunStoppedError, StopReason
from core.runs.ownership import owned_write
from core.runs.run_end import on_run_ended
from core.sources.duckdb_errors import is_out_of_room
from core.store import clock, runs
from core.store.database_errors import DATABASE_FAULTS, describe, is_passing
from core.store.runs import TakenOverError

Step = Callable[[Engine, str], Awaitable[RunStatus]]

# How long the run of a command (`sync`) waits while PostgreSQL is unavailable, in seconds: the fail-over of a managed
# server takes up to two minutes. A person waits for it. The run of a worker waits until the worker stops.
OUTAGE_S = 180.0
# The first and the longest wait before another try, in seconds.
FIRST_WAIT_S = 0.1
MOST_WAIT_S = 5.0

logger = logging.getLogger(__name__)


@asynccontextmanager
async def record_outcome(engine: Engine, run_id: str) -> AsyncIterator[None]:
    """Turn an exception that ends the block into the status of the run, with an error text.

    Raises the error if PostgreSQL is unavailable for a while: `outlasting_outages` handles it. Raises StorageError
    if the status could not be recorded.
    """
    try:
        yield
    except RunStoppedError as stopped:
        if stopped.reason is StopReason.CANCEL:
            await _end(engine, run_id, RunStatus.CANCELLED)
        else:
            await _end(engine, run_id, RunStatus.INTERRUPTED, process_died=engine.hands_over)
    except RunFrozenError:
        await _wait_for_thaw(engine, run_id)
    except TakenOverError:
        logger.warning("run %s was taken over by another process", run_id)
    except LeaseLostError:
        logger.warning("run %s: this process was declared dead, so it stopped sending", run_id)
    except SyncError as error:
        await _end(engine, run_id, RunStatus.FAILED, error)
    except DATABASE_FAULTS as error:
        if is_passing(error):
            raise
        logger.warning("run %s: the database or the disk failed", run_id, exc_info=True)
        await _end(engine, run_id, RunStatus.FAILED, StorageError(describe(error)))
    except Exception as error:
        if is_out_of_room(error):
            logger.warning("run %s: not enough disk space or memory for planning", run_id, exc_info=True)
            message = (
                "Planning needs more room than the data directory has. Free some space there and try again: nothing "
                "has been sent."
            )
            await _end(engine, run_id, RunStatus.FAILED, StorageError(message))
            return
        # a bug of ours; the run can be resumed
        logger.exception("run %s: unexpected error", run_id)
        message = (
            f"Something unexpected happened ({type(error).__name__}); the log has the details. Try again: the run "
            "resumes."
        )
        await _end(engine, run_id, RunStatus.FAILED, UnexpectedError(message))


def outlasting_outages(step: Step) -> Step:
    """Repeat a step of a run while PostgreSQL is unavailable: the database has what the step has done.

    If the process is to stop, the run is interrupted. If no other process resumes what this one leaves, the run fails
    after OUTAGE_S. The decorated step raises StorageError if not even that can be recorded: then the run is resumed
    because its process has ended.
    """

    @wraps(step)
    async def outlasting(engine: Engine, run_id: str) -> RunStatus:
        began, failed_at, wait = 0.0, -OUTAGE_S, FIRST_WAIT_S
        while True:
            try:
                return await step(engine, run_id)
            except DATABASE_FAULTS as error:
                if not is_passing(error):
                    raise
                now = time.monotonic()
                if now - failed_at > 2 * MOST_WAIT_S:  # the database was available meanwhile
                    began, wait = now, FIRST_WAIT_S
                failed_at = now
                if engine.stopping.is_set():
                    return await _give_up(engine, run_id, RunStatus.INTERRUPTED)
                if now - began > OUTAGE_S and not engine.hands_over:
                    return await _give_up(engine, run_id, RunStatus.FAILED, StorageError(describe(error)))
                logger.warning("run %s: the database is unavailable, trying again: %s", run_id, describe(error))
                await wait_for_any(wait, engine.stopping)
                wait = min(2 * wait, MOST_WAIT_S)

    return outlasting


async def _give_up(engine: Engine, run_id: str, status: RunStatus, error: SyncError | None = None) -> RunStatus:
    is_handed_over = status is RunStatus.INTERRUPTED and engine.hands_over
    try:
        await _end(engine, run_id, status, error, process_died=is_handed_over)
    except DATABASE_FAULTS as failed:
        raise StorageError(describe(failed)) from failed
    return status


async def _wait_for_thaw(engine: Engine, run_id: str) -> None:
    """Queue a frozen run. A worker takes it up when its mapping is no longer frozen."""
    async with owned_write(engine, run_id) as db:
        run = await runs.by_id(db, run_id)
        assert run is not None
        await runs.reopen(db, run, None)
        # the freeze is no part of its duration: `waited` counts from here
        await runs.change(db, run_id, phase=RunPhase.FROZEN, waiting_for_run_id=None, finished_at=await clock.now(db))


async def _end(
    engine: Engine, run_id: str, status: RunStatus, error: SyncError | None = None, *, process_died: bool = False
) -> None:
    message = None if error is None else error.message
    code = PROCESS_DIED if process_died else None if error is None else error.code
    candidates = error.candidates if isinstance(error, AmbiguousColumnsError) else None
    try:
        async with owned_write(engine, run_id) as db:
            await runs.set_status(db, run_id, status, error=message, code=code, column_candidates=candidates)
            run = await runs.by_id(db, run_id)
            assert run is not None
            await on_run_ended(db, run, status, error)
    except TakenOverError:
        logger.warning("run %s was taken over by another process", run_id)
    except DATABASE_FAULTS as failed:
        if is_passing(failed):
            raise
        raise StorageError(describe(failed)) from failed
