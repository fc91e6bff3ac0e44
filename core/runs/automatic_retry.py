"""Automatic retries: a run that an outage stopped is retried after a while, without a person.

Errors that a person has to correct are not retried (`is_transient` of core/errors.py), and neither are runs of the
command line, whose terminal shows the error.
"""

import random

from core.engine import Engine
from core.errors import ConflictError, NotFoundError, SyncError
from core.models.run import Run, RunStatus
from core.runs.lookup import require
from core.runs.submission import check_may_run
from core.store import audit_log, clock, runs
from core.store.audit_log import PROGRAM, AuditAction

# The waits before the retries, in seconds: soon at first, then each hour for a day.
WAITS_S = (60.0, 300.0, 900.0, 3600.0, *[3600.0] * 24)
# Each wait is longer or shorter by up to this share, so that runs that failed at once are not retried at once.
JITTER = 0.2
# A run that may not start when it is due (its mapping is paused) is looked at again after so many seconds.
POSTPONED_S = 300.0


def wait_before_retry(run: Run, error: SyncError) -> float | None:
    """Return after how many seconds a run that failed is retried, or None if a person has to act."""
    if not error.is_transient or run.started_by is None or run.is_live or run.auto_retries >= len(WAITS_S):
        return None
    return WAITS_S[run.auto_retries] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # not a secret


async def retry_due(engine: Engine) -> None:
    """Queue the failed runs that are due for a retry."""
    async with engine.database.read() as db:
        due = await runs.due_for_retry(db, await clock.now(db))
    for run in due:
        await _retry(engine, run.id, run.retry_at)


async def _retry(engine: Engine, run_id: str, retry_at: float | None) -> None:
    async with engine.database.write() as db:
        run = await runs.lock(db, run_id)
        if run is None or run.retry_at != retry_at or run.status is not RunStatus.FAILED:
            return
        try:
            await check_may_run(db, run.mapping_id, run.request)
        except (ConflictError, NotFoundError):
            await runs.change(db, run_id, retry_at=await clock.now(db) + POSTPONED_S)
            return
        if await runs.reopen(db, run, None) is not None:
            await runs.change(db, run_id, auto_retries=run.auto_retries + 1)
            subject = f"run:{run_id}"
            await audit_log.add(db, team_id=None, actor=PROGRAM, action=AuditAction.RUN_RETRIED, subject=subject)
    engine.queued.set()


async def stop_retrying(engine: Engine, run_id: str, *, by: str, team_id: str | None) -> None:
    """Retry a failed run no longer without a person.

    Raises NotFoundError if there is no such run, and ConflictError if it would not be retried.
    """
    async with engine.database.write() as db:
        run = await require(db, run_id)
        if run.retry_at is None:
            raise ConflictError(f"Run {run_id} is not retried automatically.", run_id=run_id)
        await runs.change(db, run_id, retry_at=None)
        subject = f"run:{run_id}"
        await audit_log.add(db, team_id=team_id, actor=by, action=AuditAction.RETRY_STOPPED, subject=subject)
