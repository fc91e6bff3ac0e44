"""Undo: a run that reverts the changes of another run."""

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import NOT_KEPT, ConflictError, NotFoundError
from core.models.batch import Phase
from core.models.run import CancelReason, Run, RunRequest, SyncMode
from core.runs.submission import enqueue
from core.store import audit_log, batches, clock, connections, mappings, runs
from core.store.audit_log import AuditAction
from core.store.batches import BatchStatus

_SENT_PHASES = (Phase.REMOVE, Phase.RENAME, Phase.UPDATE, Phase.ADD)


async def undo(engine: Engine, run_id: str, *, by: str, channel: str | None, team_id: str | None) -> str:
    """Queue the undo of a run, which needs approval, and return its id: that of an unfinished undo if there is one.

    The undo restores the former state of members that are still as the run left them. Members that changed since are
    left alone. A run that stopped halfway is cancelled, so that no worker finishes it.

    Raises NotFoundError if there is no such run, and ConflictError if the run has not ended, changed nothing or ended
    too long ago, or if its mapping is paused or was declined.
    """
    async with engine.database.write() as db:
        run = await runs.lock(db, run_id)
        if run is None:
            raise NotFoundError(f'There is no run "{run_id}".', run_id=run_id)
        if (active_undo := await runs.active_undo_of(db, run_id)) is not None:
            return active_undo.id
        await _check(db, run, engine.settings.changes_retention_s)
        mapping = await mappings.by_id(db, run.mapping_id)
        connection = await connections.by_id(db, run.connection_id)
        assert mapping is not None
        assert connection is not None
        undo_id = await enqueue(
            db,
            connection,
            mapping,
            RunRequest(path="", mode=SyncMode.DELTA),
            user_id=run.user_id_field,
            started_by=by,
            channel=channel,
            undo_of=run_id,
        )
        if run.status.is_resumable and not await runs.cancel_stopped(
            db, run, CancelReason.UNDONE, f"Replaced by run {undo_id}, which undoes it."
        ):
            raise ConflictError(
                f"Run {run_id} was resumed meanwhile. Wait until it has ended, and undo it then.", run_id=run_id
            )
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.RUN_UNDO_ASKED,
            subject=f"run:{run_id}",
            after={"run": undo_id},
        )
    engine.queued.set()
    return undo_id


async def check(engine: Engine, run: Run) -> None:
    """Raise ConflictError if a run can't be undone: it has not ended, changed nothing, or ended too long ago."""
    async with engine.database.read() as db:
        await _check(db, run, engine.settings.changes_retention_s)


async def _check(db: AsyncConnection, run: Run, kept_s: float) -> None:
    """Raise ConflictError if a run can't be undone. `kept_s` is how long changes are kept, in seconds."""
    if run.status.is_active or run.is_orphan:
        raise ConflictError(
            f"Run {run.id} has not ended. Wait until it has, or cancel it, and undo it then.", run_id=run.id
        )
    _check_changes(run, await batches.states_of(db, run.id), await clock.now(db) - kept_s)


def _check_changes(run: Run, batch_statuses: set[tuple[Phase, BatchStatus]], kept_since: float) -> None:
    """Raise ConflictError if a run has changed nothing, or its changes are no longer stored.

    Those of runs that ended before `kept_since` (UTC seconds) may be deleted.
    """
    counters = run.counters
    has_sent = any(
        status in (BatchStatus.DONE, BatchStatus.SENT) and phase in _SENT_PHASES for phase, status in batch_statuses
    )
    may_have_sent = run.requests and any(status is BatchStatus.PLANNED for _, status in batch_statuses)
    if not (has_sent or may_have_sent or counters.added or counters.updated or counters.removed):
        raise ConflictError(f"Run {run.id} changed nothing, so there is nothing to undo.")
    is_old = run.finished_at is not None and run.finished_at < kept_since
    if is_old or not (has_sent or may_have_sent):
        raise ConflictError(NOT_KEPT.format(run.id), run_id=run.id)
