"""The worker: starts and resumes runs, claims queued ones, and takes over the runs of dead processes."""

import asyncio
import logging
import math
import time
from typing import Protocol

from core.connections.mapping_end import delete_due
from core.engine import Engine
from core.errors import ConflictError, StorageError, SyncError
from core.models.run import RunStatus
from core.privacy import retention
from core.runs import commands, executor, list_lock
from core.runs.approval import expire_waiting, open_guards
from core.runs.lookup import require, require_run
from core.runs.submission import check_may_run
from core.store import freezes, run_log, run_queue, runs
from core.store.audit_log import COMMAND_LINE
from core.store.database_errors import DATABASE_FAULTS, describe

logger = logging.getLogger(__name__)

# How often a worker looks for runs that another process queued, and for runs whose process died, in seconds. While
# nothing happens in the database, it looks for the former as often as for processes that died, and for their runs only
# with every SEARCH_INTERVAL_S.
POLL_INTERVAL_S = 2.0
RESCUE_INTERVAL_S = 5.0
SEARCH_INTERVAL_S = 30.0
# How often a worker looks for schedules, sources and retries that are due, in seconds.
DUE_INTERVAL_S = 10.0
# How often a worker looks for runs whose freeze is over, in seconds.
FREEZE_INTERVAL_S = 10.0
# How often a worker deletes expired data, in seconds.
CLEANUP_INTERVAL_S = 60.0
# How many runs a worker executes at once. Most of them wait for Iterable, and fewer are planned at once
# (core/planning_slots.py). Of one Iterable project fewer are executed at once (core/store/run_queue.py).
MAX_CONCURRENT_RUNS = 40


async def start(engine: Engine, run_id: str) -> RunStatus:
    """Execute a queued run in this process, and return the status in which it ends.

    Raises StorageError if its end could not be recorded, and TakenOverError if another process has taken it over.
    """
    return await _execute_alone(engine, run_id)


async def resume(engine: Engine, run_id: str, *, by: str = COMMAND_LINE) -> RunStatus:
    """Resume a stopped run in this process, as a new attempt, and return the status in which it ends.

    Raises NotFoundError if there is no such run, and ConflictError if a process is executing it, it waits for
    approval, or it has ended for good.
    """
    if (holder := (await require_run(engine, run_id)).worker_id) is not None:
        await engine.presence.wait_for_verdict(holder)
    async with engine.database.write() as db:
        run = await require(db, run_id)
        if not run.status.is_resumable:
            raise ConflictError(
                f"Run {run_id} has ended ({run.status}) and can't be resumed. Start a new one.", run_id=run_id
            )
        if run.status is RunStatus.NEEDS_APPROVAL and (guards := open_guards(run)):
            messages = " ".join(guard.message for guard in guards)
            raise ConflictError(f"Run {run_id} waits for approval: {messages}", run_id=run_id)
        await check_may_run(db, run.mapping_id, run.request)
        is_in_progress = await executor.is_in_progress(engine, run)
        attempt = None if is_in_progress else await commands.reopen(db, run, engine.presence.id, by=by, team_id=None)
        if attempt is None:
            raise ConflictError(f"A process is executing run {run_id} already.", run_id=run_id)
    return await _execute_alone(engine, run_id)


async def execute_approved(engine: Engine, run_id: str) -> RunStatus:
    """Execute a run that was approved for this process (`approval.approve` with its worker). Returns its status."""
    run = await require_run(engine, run_id)
    assert run.worker_id == engine.presence.id
    return await _execute_alone(engine, run_id)


class DueWork(Protocol):
    """Work that is due at a time. core/automation/due_work.py implements it."""

    async def start(self) -> None:
        """Begin what is due now, and return soon."""

    async def finish(self) -> None:
        """Wait for the end of what was begun."""


async def run_worker(engine: Engine, due_work: DueWork | None = None) -> None:
    """Execute queued runs, take over the runs of dead processes, and do due work, until the engine is stopping.

    Returns when the runs that this worker executes have stopped.
    """
    engine.hands_over = True
    address = engine.settings.resolved_database_url
    async with run_queue.listening(engine.database, address, engine.queued):
        await _work(engine, due_work)


async def _work(engine: Engine, due_work: DueWork | None) -> None:
    tasks: set[asyncio.Task[None]] = set()
    lost: set[str] = set()  # runs whose end could not be recorded
    rescued_at = searched_at = cleaned_at = due_at = thawed_at = -math.inf
    while not engine.stopping.is_set():
        engine.queued.clear()
        seen = engine.database.activity.count
        claimed: list[str] = []
        try:
            if time.monotonic() - rescued_at >= RESCUE_INTERVAL_S:
                rescued_at = time.monotonic()
                is_full = rescued_at - searched_at >= SEARCH_INTERVAL_S
                searched_at = rescued_at if is_full else searched_at
                await _requeue_orphans(engine, is_full=is_full)
            if time.monotonic() - thawed_at >= FREEZE_INTERVAL_S:
                thawed_at = time.monotonic()
                await _end_freezes(engine)
            await list_lock.release_stale_locks(engine)
            if due_work is not None and (engine.due.is_set() or time.monotonic() - due_at >= DUE_INTERVAL_S):
                due_at = time.monotonic()
                engine.due.clear()
                await due_work.start()
            if lost:
                claimed += await _reopen_lost(engine, lost)
            room = MAX_CONCURRENT_RUNS - len(tasks)
            claimed += await run_queue.claim(engine.database, engine.presence.id, room, engine.ending_runs.ids)
            if time.monotonic() - cleaned_at >= CLEANUP_INTERVAL_S:
                cleaned_at = time.monotonic()
                await _clean_up(engine)
        except DATABASE_FAULTS:  # the database is unavailable for a moment, and the runs will still be there
            logger.warning("could not read runs from the database", exc_info=True)
        for run_id in claimed:
            logger.info("starting run %s", run_id)
            task = asyncio.create_task(_execute(engine, run_id, lost), name=f"run {run_id}")
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: engine.due.set())  # its source may have another file
            task.add_done_callback(lambda _: engine.queued.set())  # there is room for another run
        wakers = [engine.queued] if due_work is None else [engine.queued, engine.due]
        await engine.rest(POLL_INTERVAL_S, RESCUE_INTERVAL_S, seen, *wakers)
    if due_work is not None:
        await due_work.finish()
    await asyncio.gather(*tasks)


async def _execute(engine: Engine, run_id: str, lost: set[str]) -> None:
    """Execute a run. If its end could not be recorded, add the run to `lost`: it is ours, but not executed."""
    try:
        await executor.execute(engine, run_id)
    except (*DATABASE_FAULTS, SyncError):
        logger.warning("could not record the end of run %s", run_id, exc_info=True)
        lost.add(run_id)


async def _reopen_lost(engine: Engine, lost: set[str]) -> list[str]:
    """Reopen lost runs, unless other workers did. Returns their ids, and empties `lost`."""
    reopened = []
    for run_id in list(lost):
        async with engine.database.write() as db:
            run = await runs.by_id(db, run_id)
            if run is not None and run.status.is_active and run.worker_id == engine.presence.id:
                attempt = await runs.reopen(db, run, engine.presence.id)
                reopened += [] if attempt is None else [run_id]
        lost.discard(run_id)
    return reopened


async def _execute_alone(engine: Engine, run_id: str) -> RunStatus:
    """Execute a run in a process that does nothing else, and clean up: no worker may be there to do it.

    Returns the status in which the run ends. Raises StorageError if its end could not be recorded, and TakenOverError
    if another process has taken it over.
    """
    try:
        status = await executor.execute(engine, run_id)
        run = await require_run(engine, run_id)
    except DATABASE_FAULTS as error:
        raise StorageError(describe(error)) from error
    if run.status.is_active and run.worker_id not in (None, engine.presence.id):
        raise runs.TakenOverError(f"Run {run_id} was taken over by another process.")
    try:
        await _write_log(engine)
        await _clean_up(engine)
    except DATABASE_FAULTS:  # the run has ended, and the next one does the rest
        logger.warning("could not write the run log, or delete expired data", exc_info=True)
    return status


async def _write_log(engine: Engine) -> None:
    """Write the runs that wait for the run log. A place that fails is tried again with a later run, or by a worker."""
    async with engine.database.read() as db:
        is_on = await run_log.get(db) is not None
    if is_on:
        from core.run_log import export  # imports Arrow

        await export.write_due(engine)


async def _clean_up(engine: Engine) -> None:
    """Expire approvals, and delete data and files that are no longer needed."""
    await expire_waiting(engine)
    await retention.purge_expired(engine)
    await retention.drop_history(engine)
    await delete_due(engine)
    await retention.remove_orphaned_files(engine)
    await engine.database.clear_log()


async def _requeue_orphans(engine: Engine, *, is_full: bool) -> None:
    """Queue the runs whose process died while it executed them, so that workers resume them in turn.

    While nothing happens in the database there are none, so they are looked for only if the look is a full one.
    """
    if await engine.presence.reap_dead_workers():
        engine.live_work.set()
    if engine.database.is_quiet and not is_full:
        return
    async with engine.database.read() as db:
        # micro-batches are resumed by their own worker (core/live/worker.py)
        orphans = await runs.orphaned(db)
    if not orphans:
        return
    async with engine.database.write() as db:
        for run in orphans:
            await runs.reopen(db, run, None)


async def _end_freezes(engine: Engine) -> None:
    """Queue the runs whose mapping is no longer frozen."""
    async with engine.database.read() as db:
        if not await freezes.any_over(db):
            return
    async with engine.database.write() as db:
        await freezes.release_runs(db)
