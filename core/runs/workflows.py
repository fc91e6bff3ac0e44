"""Durable runs: the only file that knows the workflow engine (DBOS Transact).

DBOS sees to it that a run which was begun is carried to its end: it records that the run was started, and which of its
steps ended. What a step has done is in our own tables, so that a step can be repeated at any point; that is why there
are only two, and why an interrupted upload goes on where it was.

A run is one workflow for each attempt. The queue is the table of runs: `work` claims those that nobody has in hand, one
at a time for a list, and takes over those of processes that died.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from dbos import DBOS, DBOSConfig, SetWorkflowID, WorkflowHandleAsync, error

from core.engine import Engine
from core.models.run import RunStatus
from core.runs import executor
from core.store import runs
from core.store.migrate import changing_workflow_tables
from core.store.runs import TakenOverError

# A constant of ours and not a hash of the code: a deploy must not strand runs.
APPLICATION_VERSION = "1"
# How long DBOS's own record of an attempt is kept, and how many are looked at together. Nobody asks for it once the
# attempt has ended: what became of a run is in our own tables.
KEEP_ATTEMPTS_S = 300.0
ATTEMPTS_AT_ONCE = 500


_engine: Engine | None = None


@DBOS.step(name="plan")
async def _plan(run_id: str) -> str:
    return await executor.plan(running_engine(), run_id)


@DBOS.step(name="apply")
async def _apply(run_id: str) -> str:
    return await executor.apply(running_engine(), run_id)


@DBOS.workflow(name="run")
async def _run(run_id: str) -> str:
    status = await _plan(run_id)
    return await _apply(run_id) if status == RunStatus.RUNNING else status


@asynccontextmanager
async def durable(engine: Engine) -> AsyncIterator[None]:
    """Run workflows in this process for the length of the block."""
    global _engine  # noqa: PLW0603  # DBOS calls the workflows, and they have to find the engine
    tables = engine.database.open_workflow_engine()
    config: DBOSConfig = {
        "name": "iterable-sync",
        "system_database_engine": tables,
        "application_version": APPLICATION_VERSION,
        "executor_id": engine.presence.id,
        "log_level": "ERROR",
        # nobody sends our workflows notifications, and LISTEN does not work behind a pooler in transaction mode
        "use_listen_notify": False,
        # this is how long DBOS takes to end
        "notification_listener_polling_interval_sec": 0.1,
    }
    _engine = engine
    DBOS(config=config)
    try:
        async with changing_workflow_tables(engine.database):
            DBOS.launch()
        yield
    finally:
        await asyncio.to_thread(DBOS.destroy)
        # DBOS made its threads those of the loop, and they are gone now; the loop may live on
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        await asyncio.to_thread(tables.dispose)
        _engine = None


async def wait_for_end(handle: WorkflowHandleAsync[str]) -> RunStatus:
    """Return where an attempt ended. Raises TakenOverError if another process cancelled it and began the next one."""
    try:
        return RunStatus(await handle.get_result())
    except error.DBOSAwaitedWorkflowCancelledError:
        raise TakenOverError(f"Run {_run_id(handle.workflow_id)} was taken over by another process.") from None


async def forget_attempts(engine: Engine) -> None:
    """Delete DBOS's records of attempts that have ended, also by the death of their process."""
    before = datetime.fromtimestamp(time.time() - KEEP_ATTEMPTS_S, UTC).isoformat()
    found = await DBOS.list_workflows_async(
        name="run", end_time=before, limit=ATTEMPTS_AT_ONCE, load_input=False, load_output=False
    )
    async with engine.database.read() as db:
        known = await runs.by_ids(db, {_run_id(each.workflow_id) for each in found})
    under_way = {_workflow_id(run.id, run.attempt) for run in known.values() if run.status.is_active}
    ours = [each.workflow_id for each in found if _run_id(each.workflow_id) in known]
    if ended := [each for each in ours if each not in under_way]:
        await DBOS.delete_workflows_async(ended)


async def begin_attempt(run_id: str, attempt: int) -> WorkflowHandleAsync[str]:
    """Begin an attempt in the place of the one before, whatever became of that."""
    if attempt:
        await DBOS.cancel_workflow_async(_workflow_id(run_id, attempt - 1))
    with SetWorkflowID(_workflow_id(run_id, attempt)):
        return await DBOS.start_workflow_async(_run, run_id)


def _workflow_id(run_id: str, attempt: int) -> str:
    return f"{run_id}-{attempt}"


def _run_id(workflow_id: str) -> str:
    return workflow_id.rpartition("-")[0]


def running_engine() -> Engine:
    assert _engine is not None
    return _engine
