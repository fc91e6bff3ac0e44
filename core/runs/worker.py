"""The worker: starts and resumes runs, claims queued ones, and takes over those of processes that died."""

import asyncio
import logging
import time

from sqlalchemy.exc import DBAPIError

from core import retention
from core.engine import Engine
from core.errors import ConflictError, StorageError, SyncError
from core.models.run import RunStatus
from core.runs import commands, executor, list_lock
from core.runs.approval import expire_waiting, open_guards
from core.runs.lookup import require, require_run
from core.runs.submission import check_may_run
from core.runs.workflows import begin_attempt, forget_attempts, running_engine, wait_for_end
from core.store import runs
from core.store.audit_log import COMMAND_LINE
from core.store.database_errors import describe

logger = logging.getLogger(__name__)

# How often a worker looks for runs that were queued in another process, and for those whose process has died (seconds).
POLL_INTERVAL_S = 1.0


RESCUE_INTERVAL_S = 5.0


# How often a worker clears away what is not needed any more (seconds).
CLEANUP_INTERVAL_S = 60.0


# Runs that a worker has in hand at once. More would share the same pace, or wait for the same lists.
MAX_CONCURRENT_RUNS = 4


async def start(run_id: str) -> RunStatus:
    """Execute a queued run in this process, and return where it ends."""
    return await _shutdown(running_engine(), run_id, 0)


async def resume(engine: Engine, run_id: str, *, by: str = COMMAND_LINE) -> RunStatus:
    """Continue a stopped run in this process, as a new attempt, and return the status in which it ends.

    Raises NotFoundError if there is no such run, and ConflictError if a process is working on it, it waits for
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
        await check_may_run(db, run.mapping_id)
        is_in_progress = await executor.is_in_progress(engine, run)
        attempt = None if is_in_progress else await commands.reopen(db, run, engine.presence.id, by=by, team_id=None)
        if attempt is None:
            raise ConflictError(f"A process is at work on run {run_id} already.", run_id=run_id)
    return await _shutdown(engine, run_id, attempt)


async def execute_approved(engine: Engine, run_id: str) -> RunStatus:
    """Execute a run in this process that was approved for it (`approval.approve` with its worker)."""
    run = await require_run(engine, run_id)
    assert run.worker_id == engine.presence.id
    return await _shutdown(engine, run_id, run.attempt)


async def run_worker(engine: Engine) -> None:
    """Execute queued runs, and take over those of processes that die, until the engine is stopping.

    Returns when what is under way has stopped.
    """
    engine.hands_over = True
    taken: set[asyncio.Task[None]] = set()
    lost: set[str] = set()  # runs whose end could not be recorded
    looked_for_orphans, tidied = -RESCUE_INTERVAL_S, -CLEANUP_INTERVAL_S
    while not engine.stopping.is_set():
        engine.queued.clear()
        found: list[tuple[str, int]] = []
        try:
            if time.monotonic() - looked_for_orphans >= RESCUE_INTERVAL_S:
                looked_for_orphans = time.monotonic()
                found += await _orphaned_runs(engine)
            await list_lock.release_stale_locks(engine)
            if lost:
                found += await _reopened(engine, lost)
            found += await _queued(engine, MAX_CONCURRENT_RUNS - len(taken))
            if time.monotonic() - tidied >= CLEANUP_INTERVAL_S:
                tidied = time.monotonic()
                await _tidy(engine)
        except (DBAPIError, OSError):  # the database is not there for a moment: what is to be done will still be
            logger.warning("the database could not be asked for runs", exc_info=True)
        for run_id, attempt in found:
            logger.info("taking up run %s", run_id)
            task = asyncio.create_task(_carry(run_id, attempt, lost), name=f"run {run_id}")
            taken.add(task)
            task.add_done_callback(taken.discard)
            task.add_done_callback(lambda _: engine.queued.set())  # there is room for another
        await _until_any(engine.stopping, engine.queued)
    await asyncio.gather(*taken)


async def _carry(run_id: str, attempt: int, lost: set[str]) -> None:
    """Execute an attempt. Where not even its end could be recorded, the run is lost: ours, and nobody at work on it."""
    try:
        await wait_for_end(await begin_attempt(run_id, attempt))
    except (DBAPIError, OSError, SyncError):
        logger.warning("run %s ended, and that could not be recorded", run_id, exc_info=True)
        lost.add(run_id)


async def _reopened(engine: Engine, lost: set[str]) -> list[tuple[str, int]]:
    """Take lost runs up again, unless others have; returns their ids and attempts."""
    found = []
    for run_id in list(lost):
        async with engine.database.write() as db:
            this = await runs.by_id(db, run_id)
            if this is not None and this.status.is_active and this.worker_id == engine.presence.id:
                found.append((run_id, await runs.reopen(db, this, engine.presence.id)))
        lost.discard(run_id)
    return [(run_id, attempt) for run_id, attempt in found if attempt is not None]


async def _until_any(*events: asyncio.Event) -> None:
    """Wait until one of these is set, or it is time to look again."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=POLL_INTERVAL_S, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


async def _queued(engine: Engine, room: int) -> list[tuple[str, int]]:
    """Claim queued runs that nobody has in hand, at most one for each list; returns their ids and attempts."""
    if room <= 0:
        return []
    async with engine.database.read() as db:
        waiting = await runs.waiting(db)
    if not waiting:
        return []
    async with engine.database.write() as db:
        claimed = [run for run in waiting[:room] if await runs.claim(db, run, engine.presence.id)]
    return [(run.id, run.attempt) for run in claimed]


async def _shutdown(engine: Engine, run_id: str, attempt: int) -> RunStatus:
    """Execute an attempt in a process that is there for it alone, and after which there may be no worker to clear up.

    Returns where the run ends. Raises StorageError where not even that could be recorded.
    """
    try:
        status = await wait_for_end(await begin_attempt(run_id, attempt))
    except DBAPIError as error:  # DBOS's own, which matters no more where the run has ended
        async with engine.database.read() as db:
            this = await runs.by_id(db, run_id)
        if this is None or this.status.is_active:
            raise StorageError(describe(error)) from error
        status = this.status
    try:
        await _tidy(engine)
    except (DBAPIError, OSError):  # the run has ended, and another one will clear up
        logger.warning("what is not needed any more could not be cleared away", exc_info=True)
    return status


async def _tidy(engine: Engine) -> None:
    """Clear away what is not needed any more."""
    await expire_waiting(engine)
    await retention.purge_expired(engine)
    await retention.remove_orphaned_files(engine)
    await forget_attempts(engine)
    await engine.database.clear_log()


async def _orphaned_runs(engine: Engine) -> list[tuple[str, int]]:
    """Reopen the runs whose process died while it was at work on them; returns their ids and attempts."""
    await engine.presence.reap_dead_workers()
    async with engine.database.write() as db:
        # those that carry live changes are taken up by their own worker (core/live/worker.py)
        orphans = [run for run in await runs.unfinished(db) if run.is_orphan and not run.is_live]
        reopened = [(run.id, await runs.reopen(db, run, engine.presence.id)) for run in orphans]
    return [(run_id, attempt) for run_id, attempt in reopened if attempt is not None]
