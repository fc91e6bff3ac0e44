"""Approvals of plans: decide, expire, and withdraw them when a plan is discarded.

An approval belongs to a plan, which `plan_digest` names. Each transition is one statement with the expected state in
its condition, so that only one of two concurrent decisions succeeds.
"""

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import CancelReason, PlanNumbers, Run, RunPlan, RunRequest, RunStatus, SyncMode
from core.store import audit_log, clock, outbox
from core.store.audit_log import PROGRAM, AuditAction
from core.store.runs import is_logged, waited
from core.store.tables import batches, runs

#: The error of a declined run.
DECLINED = "Declined."

_WAITS = runs.c.status == RunStatus.NEEDS_APPROVAL.value


async def approve(db: AsyncConnection, run: Run, *, by: str, comment: str | None, worker: str | None = None) -> bool:
    """Approve the plan of a waiting run, and assign the run to `worker` (None: queue it).

    Returns False if the run no longer waits, or has another plan than `run`.
    """
    resumed = {
        "status": RunStatus.RUNNING.value,
        "worker_id": worker,
        "attempt": runs.c.attempt + 1,
        "finished_at": None,
        "approved_digest": runs.c.plan_digest,
    }
    return await _decide(db, run, by=by, comment=comment, **resumed)


async def decline(db: AsyncConnection, run: Run, *, by: str, comment: str | None) -> bool:
    """Decline the plan of a waiting run. Returns False in the cases in which `approve` does."""
    ended = {
        "status": RunStatus.CANCELLED.value,
        "cancel_reason": CancelReason.DECLINED.value,
        "finished_at": await clock.now(db),
        "error": DECLINED,
        "is_log_due": is_logged(),
    }
    return await _decide(db, run, by=by, comment=comment, **ended)


async def _decide(db: AsyncConnection, run: Run, *, by: str, comment: str | None, **values: object) -> bool:
    now = await clock.now(db)
    result = await db.execute(
        update(runs)
        .where(runs.c.id == run.id, _WAITS, runs.c.plan_digest == run.plan_digest)
        .values(**values, approval_wait_s=waited(now), decided_by=by, decided_at=now, comment=comment)
    )
    return bool(result.rowcount)


async def any_waiting(db: AsyncConnection, waiting_before: float) -> bool:
    """Whether a run has been awaiting approval since before that time."""
    began = func.coalesce(runs.c.finished_at, runs.c.created_at)
    return (await db.execute(select(runs.c.id).where(_WAITS, began < waiting_before).limit(1))).first() is not None


async def expire(db: AsyncConnection, waiting_before: float, error: str, run_id: str | None = None) -> list[str]:
    """Expire the runs (or this one) that have been awaiting approval since before that time. Returns their ids."""
    query = update(runs).where(_WAITS, func.coalesce(runs.c.finished_at, runs.c.created_at) < waiting_before)
    if run_id is not None:
        query = query.where(runs.c.id == run_id)
    now = await clock.now(db)
    values = {
        "status": RunStatus.EXPIRED.value,
        "finished_at": now,
        "approval_wait_s": waited(now),
        "error": error,
        "is_log_due": is_logged(),
    }
    return list((await db.execute(query.values(**values).returning(runs.c.id))).scalars())


_BEGUN = select(batches.c.id).where(batches.c.run_id == runs.c.id, batches.c.status.in_(["sent", "done"])).exists()
_LATER = (
    runs.c.connection_id == bindparam("connection"),
    runs.c.list_id == bindparam("list"),
    runs.c.mapping_id == bindparam("mapping"),
    runs.c.created_at > bindparam("after"),
    runs.c.mode == SyncMode.MIRROR.value,
    runs.c.undo_of.is_(None),
    runs.c.status.in_([status.value for status in RunStatus if status.is_resumable]),
    ~_BEGUN,
)
_LATER_RUNS = select(runs.c.id).where(*_LATER)


async def discard_plans_after(db: AsyncConnection, run: Run) -> None:
    """Make later mirror runs of the mapping that have sent nothing plan again, because `run` starts to upload.

    They lose the ledger revision of their plan. Runs that await approval lose the plan at once and are queued; the
    others lose it when a worker resumes them.
    """
    of_mapping = {"connection": run.connection_id, "list": run.list_id, "mapping": run.mapping_id}
    ids = list((await db.execute(_LATER_RUNS, {**of_mapping, "after": run.created_at})).scalars())
    if not ids:  # as most of the time
        return
    later = runs.c.id.in_(ids)
    await db.execute(update(runs).where(later).values(ledger_revision=None))
    queued_again = {
        "status": RunStatus.QUEUED.value,
        "worker_id": None,
        "attempt": runs.c.attempt + 1,
        "finished_at": None,
        "approval_wait_s": waited(await clock.now(db)),
    }
    await db.execute(update(runs).where(later, _WAITS).values(**queued_again, **_WITHOUT_PLAN))


async def discard_plan(db: AsyncConnection, run_id: str) -> None:
    """Discard the plan of a run that is planned again. The audit log keeps its approval."""
    await db.execute(
        update(runs)
        .where(runs.c.id == run_id)
        .values(status=RunStatus.QUEUED.value, ledger_revision=None, **_WITHOUT_PLAN)
    )


_WITHOUT_PLAN = {
    "discarded_plan": func.coalesce(runs.c.plan, runs.c.discarded_plan),
    "plan": None,
    "plan_digest": None,
}


async def set_digest(db: AsyncConnection, run: Run, plan: RunPlan, digest: str, *, is_approved: bool) -> None:
    """Record the digest of a new plan, and whether it is approved already.

    An advance approval holds for this plan only. If the plan needs approval, the record of an earlier decision is
    cleared.
    """
    request = run.request if run.request.live else run.request.model_copy(update=_NOTHING_IN_ADVANCE)
    values: dict[str, object] = {
        "plan_digest": digest,
        "approved_digest": digest if is_approved else None,
        "discarded_plan": None,
        "request": request.model_dump_json(),
        "source_digest": plan.source_digest or None,
        "source_at": plan.source_at,
    }
    if plan.guards:
        values |= {"decided_by": None, "decided_at": None, "comment": None}
    await db.execute(update(runs).where(runs.c.id == run.id).values(**values))


async def ask_again(db: AsyncConnection, run: Run, plan: RunPlan, digest: str) -> None:
    """Make a run await approval of its remaining plan, which goes beyond the approved one."""
    await set_digest(db, run, plan, digest, is_approved=False)
    now = await clock.now(db)
    await db.execute(
        update(runs)
        .where(runs.c.id == run.id)
        .values(
            plan=plan.model_dump_json(),
            status=RunStatus.NEEDS_APPROVAL.value,
            finished_at=now,
            approval_wait_s=waited(now),
        )
    )
    await outbox.run_has_status(db, run.id, RunStatus.NEEDS_APPROVAL)
    await note_change(db, run.id, plan)


async def note_change(db: AsyncConnection, run_id: str, plan: RunPlan) -> None:
    """Record that a plan replaces one that was shown, so that approvers are notified again."""
    if plan.replaces is not None:
        await audit_log.add(
            db,
            team_id=None,
            actor=PROGRAM,
            action=AuditAction.RUN_PLAN_CHANGED,
            subject=f"run:{run_id}",
            before=plan.replaces.model_dump(),
            after={name: getattr(plan, name) for name in PlanNumbers.model_fields},
        )


_NOTHING_IN_ADVANCE = {"approved": False, "allow_empty": False}


async def set_shown(db: AsyncConnection, run_id: str, digest: str | None) -> None:
    """Record which plan of a run a terminal has printed."""
    await db.execute(update(runs).where(runs.c.id == run_id).values(shown_digest=digest))


@dataclass(frozen=True, slots=True)
class SyncedSource:
    """The source that was last synced to the list of a mapping: its time, and the run."""

    run_id: str
    at: float


async def latest_source(db: AsyncConnection, mapping_id: int) -> SyncedSource | None:
    """Return the source of the last successful run of a mapping that is no undo."""
    query = (
        select(runs.c.id, runs.c.source_at)
        .where(
            runs.c.mapping_id == mapping_id,
            runs.c.status == RunStatus.SUCCEEDED.value,
            runs.c.undo_of.is_(None),
            runs.c.source_at.is_not(None),
        )
        .order_by(runs.c.finished_at.desc())
        .limit(1)
    )
    row = (await db.execute(query)).first()
    return None if row is None else SyncedSource(*row)


async def first_read_at(db: AsyncConnection, mapping_id: int, source_digest: str, address: str) -> float | None:
    """Return when a run of a mapping first read these bytes from this address, or None.

    The same bytes at another address are another export: an audience may return to an earlier state.
    """
    query = (
        select(runs.c.created_at, runs.c.request)
        .where(runs.c.mapping_id == mapping_id, runs.c.source_digest == source_digest)
        .order_by(runs.c.created_at)
    )
    rows = await db.execute(query)
    return next((at for at, request in rows if RunRequest.model_validate_json(request).path == address), None)


async def last_sizes(db: AsyncConnection, mapping_id: int, mode: SyncMode, limit: int) -> list[int]:
    """Return the audience sizes of the latest successful runs of a mapping in this mode, newest first."""
    query = (
        select(runs.c.members + runs.c.left)
        .where(
            runs.c.mapping_id == mapping_id,
            runs.c.status == RunStatus.SUCCEEDED.value,
            runs.c.mode == mode.value,
            runs.c.undo_of.is_(None),
            runs.c.source_at.is_not(None),
        )
        .order_by(runs.c.created_at.desc())
        .limit(limit)
    )
    return [int(size) for (size,) in await db.execute(query)]
