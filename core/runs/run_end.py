"""What the end of a run causes: alerts, a retry after an outage, the next file of its source, other mappings.

Everything is written in the transaction that records the end, so it happens once.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting
from core.errors import SyncError
from core.models.run import SCHEDULE_PREFIX, Run, RunStatus
from core.notifications import rule_watch
from core.runs.automatic_retry import wait_before_retry
from core.runs.mapping_deletion import finish_emptying
from core.store import audit_log, clock, file_sources, mappings, runs, schedules
from core.store.audit_log import PROGRAM, AuditAction
from core.store.mappings import MappingStatus

#: A mapping is paused after so many scheduled runs in a row have failed.
PAUSED_AFTER = 5


async def on_run_ended(db: AsyncConnection, run: Run, status: RunStatus, error: SyncError | None = None) -> None:
    """Do what the end of a run causes. `run` is the run before its status was set."""
    if run.is_live:
        return
    if status is RunStatus.SUCCEEDED and run.request.empties:
        await finish_emptying(db, run)
    elif status is RunStatus.SUCCEEDED and run.undo_of is None:
        await schedules.mapping_succeeded(db, run.mapping_id)
    elif status is RunStatus.FAILED and error is not None:
        error = await _plan_retry(db, run, error)
    await alerting.on_run_ended(db, run, status, error)
    if status is RunStatus.SUCCEEDED:
        await rule_watch.check_run(db, run)
    if status in (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED):
        await file_sources.run_ended(db, run.mapping_id)


async def _plan_retry(db: AsyncConnection, run: Run, error: SyncError) -> SyncError:
    """Set when a failed run is retried, or pause its mapping after too many failures. Returns the error to alert."""
    wait = wait_before_retry(run, error)
    if wait is not None:
        await runs.change(db, run.id, retry_at=await clock.now(db) + wait)
        return error
    if run.is_scheduled and await _has_failed_often(db, run) and await _pause(db, run.mapping_id):
        error.message += (
            f" The last {PAUSED_AFTER} scheduled syncs failed, so the mapping was paused. Resume it when the cause is "
            "corrected."
        )
    return error


async def _has_failed_often(db: AsyncConnection, run: Run) -> bool:
    statuses = await runs.last_scheduled(db, run.mapping_id, SCHEDULE_PREFIX, PAUSED_AFTER)
    return statuses == [RunStatus.FAILED] * PAUSED_AFTER


async def _pause(db: AsyncConnection, mapping_id: int) -> bool:
    mapping = await mappings.by_id(db, mapping_id)
    if mapping is None or mapping.status is not MappingStatus.ACTIVE:
        return False
    await mappings.change(db, mapping_id, status=MappingStatus.PAUSED)
    await audit_log.add(
        db,
        team_id=None,
        actor=PROGRAM,
        action=AuditAction.MAPPING_PAUSED,
        subject=f"mapping:{mapping_id}",
        before={"state": mapping.status.value},
        after={"state": MappingStatus.PAUSED.value, "failed_runs": PAUSED_AFTER},
    )
    return True
