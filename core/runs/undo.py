"""Undo: queueing a run that takes back what another did."""

import time

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import NOT_KEPT, ConflictError, NotFoundError
from core.models.batch import Phase
from core.models.run import CancelReason, Run, RunRequest, SyncMode
from core.retention import RETENTION_S
from core.runs.submission import enqueue
from core.store import batches, connections, mappings, runs
from core.store.batches import BatchStatus

_SENT = (Phase.REMOVE, Phase.RENAME, Phase.UPDATE, Phase.ADD)


async def undo(engine: Engine, run_id: str, *, started_by: str | None, channel: str | None) -> str:
    """Queue a run of the same mapping that takes back what a run did, and return its id. It waits for approval.

    What is still as that run left it becomes what it was before; whatever was changed since is left alone. A run that
    had stopped half-way is cancelled, so that nobody finishes it. Where one that takes it back is under way or waits
    already, that one's id is returned.

    Raises InputError where there is no such run, where it is at work, did nothing, or ended too long ago, and where its
    mapping is paused or was declined.
    """
    async with engine.database.write() as db:
        this = await runs.lock(db, run_id)
        if this is None:
            raise NotFoundError(f'There is no run "{run_id}".', run_id=run_id)
        if (already := await runs.active_undo_of(db, run_id)) is not None:
            return already.id
        await _check(db, this)
        mapping = await mappings.by_id(db, this.mapping_id)
        connection = await connections.by_id(db, this.connection_id)
        assert mapping is not None
        assert connection is not None
        undoing = await enqueue(
            db,
            connection,
            mapping,
            RunRequest(path="", mode=SyncMode.DELTA),
            user_id=this.user_id_field,
            started_by=started_by,
            channel=channel,
            undo_of=run_id,
        )
        if this.status.is_resumable and not await runs.cancel_stopped(
            db, this, CancelReason.UNDONE, f"Replaced by run {undoing}, which undoes it."
        ):
            raise ConflictError(
                f"Run {run_id} was resumed meanwhile. Wait until it has ended, and undo it then.", run_id=run_id
            )
    engine.queued.set()
    return undoing


async def check(engine: Engine, this: Run) -> None:
    """Raise InputError where a run can't be undone: it is at work, did nothing, or ended too long ago."""
    async with engine.database.read() as db:
        await _check(db, this)


async def _check(db: AsyncConnection, this: Run) -> None:
    if this.status.is_active or this.is_orphan:
        raise ConflictError(
            f"Run {this.id} has not ended. Wait until it has, or cancel it, and undo it then.", run_id=this.id
        )
    _check_deeds(this, await batches.states_of(db, this.id))


def _check_deeds(this: Run, found: set[tuple[Phase, BatchStatus]]) -> None:
    """Raise InputError where a run has done nothing, or what it did is not kept any more."""
    counters = this.counters
    begun = any(state in (BatchStatus.DONE, BatchStatus.SENT) and phase in _SENT for phase, state in found)
    perhaps = this.requests and any(state is BatchStatus.PLANNED for _, state in found)
    if not (begun or perhaps or counters.added or counters.updated or counters.removed):
        raise ConflictError(f"Run {this.id} changed nothing, so there is nothing to undo.")
    is_old = this.finished_at is not None and this.finished_at < time.time() - RETENTION_S
    if is_old or not (begun or perhaps):
        raise ConflictError(NOT_KEPT.format(this.id), run_id=this.id)
