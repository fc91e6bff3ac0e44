"""Every ending of a run is on record, whatever it is."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import duckdb
from sqlalchemy.exc import DBAPIError

from core import alerting
from core.engine import Engine
from core.errors import StorageError, SyncError
from core.models.run import PROCESS_DIED, RunStatus, RunStoppedError
from core.store import runs
from core.store.database_errors import describe
from core.store.runs import TakenOverError

logger = logging.getLogger(__name__)


@asynccontextmanager
async def record_outcome(engine: Engine, run_id: str) -> AsyncIterator[None]:
    """Turn whatever ends the block into a status of the run, with a sentence for a person."""
    try:
        yield
    except RunStoppedError as stopped:
        if stopped.how == "cancel":
            await _end(engine, run_id, RunStatus.CANCELLED)
        else:
            await _end(engine, run_id, RunStatus.INTERRUPTED, code=PROCESS_DIED if engine.hands_over else None)
    except TakenOverError:
        logger.warning("run %s was taken over by another process", run_id)
    except SyncError as error:
        await _end(engine, run_id, RunStatus.FAILED, error.message, error.code)
    except (DBAPIError, OSError) as error:
        logger.warning("run %s: the database or the disk failed", run_id, exc_info=True)
        await _end(engine, run_id, RunStatus.FAILED, describe(error), "storage")
    except (duckdb.IOException, duckdb.OutOfMemoryException):
        logger.warning("run %s: no room for planning", run_id, exc_info=True)
        message = (
            f"Planning needs more room than {engine.settings.data_dir} has. Free some space there and try again: "
            "nothing has been sent."
        )
        await _end(engine, run_id, RunStatus.FAILED, message, "storage")
    except Exception as error:  # a bug of ours: the person is told, the log has the rest, the run can be resumed
        logger.exception("run %s: unexpected error", run_id)
        message = (
            f"Something unexpected happened ({type(error).__name__}); the log has the details. Try again: it goes on."
        )
        await _end(engine, run_id, RunStatus.FAILED, message, "unexpected")


async def _end(
    engine: Engine, run_id: str, status: RunStatus, error: str | None = None, code: str | None = None
) -> None:
    try:
        async with engine.database.write() as db:
            await runs.set_status(db, run_id, status, error=error, code=code)
            this = await runs.by_id(db, run_id)
            assert this is not None
            await alerting.on_run_ended(db, this, status, error, code)
    except DBAPIError as failed:
        raise StorageError(describe(failed)) from failed
