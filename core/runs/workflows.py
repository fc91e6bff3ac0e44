"""Durable workflows for runs: the only module that knows the workflow engine (DBOS Transact).

DBOS carries a started run to its end: it records the start and the end of each attempt. Our own tables have what a run
has done, so an attempt can be repeated at any point. That is why it needs no steps, and why an interrupted upload
resumes at its first open batch.

Each attempt of a run is one workflow. The queue is the table of runs: `run_worker` claims queued runs, one at a time
for a list, and takes over the runs of dead processes.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from dbos import DBOS, DBOSConfig, SetWorkflowID, WorkflowHandleAsync, _dbos, error

from core.engine import Engine
from core.models.run import RunStatus
from core.runs import executor
from core.store import runs
from core.store.migrate import changing_workflow_tables
from core.store.runs import TakenOverError

# A constant instead of DBOS's hash of the code, so that runs continue after a deploy.
APPLICATION_VERSION = "1"
# How long DBOS's record of an ended attempt is kept, in seconds, and how many are deleted at once. No one reads them:
# our own tables have the outcome of a run.
KEEP_ATTEMPTS_S = 300.0
ATTEMPTS_AT_ONCE = 500

_engine: Engine | None = None


@DBOS.workflow(name="run")
async def _run(run_id: str) -> str:
    return await executor.execute(running_engine(), run_id)


@asynccontextmanager
async def durable(engine: Engine) -> AsyncIterator[None]:
    """Run workflows in this process for the length of the block."""
    global _engine  # noqa: PLW0603  # DBOS calls the workflows without the engine
    tables = engine.database.open_workflow_engine()
    config: DBOSConfig = {
        "name": "iterable-sync",
        "system_database_engine": tables,
        "application_version": APPLICATION_VERSION,
        "executor_id": engine.presence.id,
        "log_level": "ERROR",
        # our workflows get no notifications, and LISTEN does not work behind a pooler in transaction mode
        "use_listen_notify": False,
        # DBOS needs this long to stop
        "notification_listener_polling_interval_sec": 0.1,
    }
    _engine = engine
    DBOS(config=config)
    try:
        async with changing_workflow_tables(engine.database):
            DBOS.launch()
        _end_polling()
        yield
    finally:
        await asyncio.to_thread(DBOS.destroy)
        # DBOS replaced the loop's executor with its own, which is closed now; the loop may still be used
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        await asyncio.to_thread(tables.dispose)
        _engine = None


def _end_polling() -> None:
    """End the threads that look for queued, delayed and scheduled workflows every second: there are none.

    An idle process would execute six statements a second for them. There is no public way to leave them out.
    """
    instance = _dbos._get_dbos_instance()  # noqa: SLF001
    for stop in (*instance.background_thread_stop_events, instance._background_jobs_stop_event):  # noqa: SLF001
        stop.set()


async def wait_for_end(handle: WorkflowHandleAsync[str]) -> RunStatus:
    """Return the status in which an attempt ends. Raises TakenOverError if another process began the next attempt."""
    try:
        return RunStatus(await handle.get_result())
    except error.DBOSAwaitedWorkflowCancelledError:
        raise TakenOverError(f"Run {_run_id(handle.workflow_id)} was taken over by another process.") from None


async def forget_attempts(engine: Engine) -> None:
    """Delete DBOS's records of attempts that have ended, including those whose process died."""
    before = datetime.fromtimestamp(time.time() - KEEP_ATTEMPTS_S, UTC).isoformat()
    workflows = await DBOS.list_workflows_async(
        name="run", end_time=before, limit=ATTEMPTS_AT_ONCE, load_input=False, load_output=False
    )
    async with engine.database.read() as db:
        known = await runs.by_ids(db, {_run_id(workflow.workflow_id) for workflow in workflows})
    under_way = {_workflow_id(run.id, run.attempt) for run in known.values() if run.status.is_active}
    ours = [workflow.workflow_id for workflow in workflows if _run_id(workflow.workflow_id) in known]
    if ended := [workflow_id for workflow_id in ours if workflow_id not in under_way]:
        await DBOS.delete_workflows_async(ended)


async def begin_attempt(run_id: str, attempt: int) -> WorkflowHandleAsync[str]:
    """Start an attempt of a run, and cancel the attempt before it. Returns the handle of its workflow."""
    if attempt:
        await DBOS.cancel_workflow_async(_workflow_id(run_id, attempt - 1))
    with SetWorkflowID(_workflow_id(run_id, attempt)):
        return await DBOS.start_workflow_async(_run, run_id)


def _workflow_id(run_id: str, attempt: int) -> str:
    return f"{run_id}-{attempt}"


def _run_id(workflow_id: str) -> str:
    return workflow_id.rpartition("-")[0]


def running_engine() -> Engine:
    """Return the engine of the enclosing `durable` block."""
    assert _engine is not None
    return _engine
