"""Approvals of plans: decided, expired, and withdrawn from plans that are discarded.

An approval is of a plan, which `plan_digest` names. Each change of state here is one statement that says from which
state it starts, so that of two who decide at once one does.
"""

from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import CancelReason, Run, RunPlan, RunRequest, RunStatus, SyncMode
from core.store import audit_log, clock
from core.store.audit_log import PROGRAM, AuditAction
from core.store.runs import waited
from core.store.tables import batches, runs

#: What a run that was declined says.
DECLINED = "Declined."

_WAITS = runs.c.status == RunStatus.NEEDS_APPROVAL.value


async def approve(db: AsyncConnection, run: Run, *, by: str, comment: str | None, worker: str | None = None) -> bool:
    """Record who approved the plan of a run that waits; it is this worker's then (None: queued).

    Returns False if it does not wait any longer, or has another plan than `run`.
    """
    going_on = {
        "status": RunStatus.RUNNING.value,
        "worker_id": worker,
        "attempt": runs.c.attempt + 1,
        "finished_at": None,
        "approved_digest": runs.c.plan_digest,
    }
    return await _decide(db, run, by=by, comment=comment, **going_on)


async def decline(db: AsyncConnection, run: Run, *, by: str, comment: str | None) -> bool:
    """Record who declined the plan of a run that waits. Returns False as `approve` does."""
    ended = {
        "status": RunStatus.CANCELLED.value,
        "cancel_reason": CancelReason.DECLINED.value,
        "finished_at": await clock.now(db),
        "error": DECLINED,
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
    """Whether a run began to wait for approval before that time."""
    began = func.coalesce(runs.c.finished_at, runs.c.created_at)
    return (await db.execute(select(runs.c.id).where(_WAITS, began < waiting_before).limit(1))).first() is not None


async def expire(db: AsyncConnection, waiting_before: float, error: str, run_id: str | None = None) -> list[str]:
    """End the runs (or this one) that began to wait for approval before that time. Returns their ids."""
    query = update(runs).where(_WAITS, func.coalesce(runs.c.finished_at, runs.c.created_at) < waiting_before)
    if run_id is not None:
        query = query.where(runs.c.id == run_id)
    now = await clock.now(db)
    values = {
        "status": RunStatus.EXPIRED.value,
        "finished_at": now,
        "approval_wait_s": waited(now),
        "error": error,
    }
    return list((await db.execute(query.values(**values).returning(runs.c.id))).scalars())


async def discard_plans_after(db: AsyncConnection, this: Run) -> None:
    """A run begins to write: later whole audiences of its mapping, which have sent nothing, are to be planned again.

    They lose the revision that they were planned at. Those that wait for approval lose their plan at once, and with it
    whatever a person has seen of it; they are queued to be planned again. The others lose it when they are taken up.
    """
    begun = select(batches.c.id).where(batches.c.run_id == runs.c.id, batches.c.status.in_(["sent", "done"])).exists()
    resumable = [status.value for status in RunStatus if status.is_resumable]
    later = (
        runs.c.connection_id == this.connection_id,
        runs.c.list_id == this.list_id,
        runs.c.mapping_id == this.mapping_id,
        runs.c.created_at > this.created_at,
        runs.c.mode == SyncMode.MIRROR.value,
        runs.c.undo_of.is_(None),
        runs.c.status.in_(resumable),
        ~begun,
    )
    await db.execute(update(runs).where(*later).values(ledger_revision=None))
    queued_again = {
        "status": RunStatus.QUEUED.value,
        "worker_id": None,
        "attempt": runs.c.attempt + 1,
        "finished_at": None,
        "approval_wait_s": waited(await clock.now(db)),
    }
    await db.execute(update(runs).where(*later, _WAITS).values(**queued_again, **_WITHOUT_PLAN))


async def discard_plan(db: AsyncConnection, run_id: str) -> None:
    """Throw the plan of a run away that is about to be planned again. Whose approval it had is still on record."""
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
    """Record the digest of a plan that was just made, and whether it is approved already.

    What was approved in advance was approved for this plan alone. A plan that is not approved has nothing on record of
    who decided about an earlier one.
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
    """Let a run wait for approval of what is left of it, which goes beyond what was approved."""
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
    await note_change(db, run.id, plan)


async def note_change(db: AsyncConnection, run_id: str, plan: RunPlan) -> None:
    """Record that a plan takes the place of one that was shown: those who decide are notified once more."""
    if plan.replaces is not None:
        await audit_log.add(
            db,
            team_id=None,
            actor=PROGRAM,
            action=AuditAction.RUN_PLAN_CHANGED,
            subject=f"run:{run_id}",
            before=plan.replaces.model_dump(),
            after={"to_add": plan.to_add, "to_update": plan.to_update, "to_remove": plan.to_remove},
        )


_NOTHING_IN_ADVANCE = {"approved": False, "allow_empty": False}


async def set_shown(db: AsyncConnection, run_id: str, digest: str | None) -> None:
    """Record which plan of a run a terminal has printed."""
    await db.execute(update(runs).where(runs.c.id == run_id).values(shown_digest=digest))


@dataclass(frozen=True, slots=True)
class SyncedSource:
    """The source that was synced last to the list of a mapping: of when it is, and by which run."""

    run_id: str
    at: float


async def latest_source(db: AsyncConnection, mapping_id: int) -> SyncedSource | None:
    """Return the source that was synced last to the list of a mapping, by a run that succeeded and is no undo."""
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
    """Return when a run of a mapping read these bytes first from this address; None if none did.

    The same bytes at another address are another export: an audience may be again what it was.
    """
    query = (
        select(runs.c.created_at, runs.c.request)
        .where(runs.c.mapping_id == mapping_id, runs.c.source_digest == source_digest)
        .order_by(runs.c.created_at)
    )
    rows = await db.execute(query)
    return next((at for at, request in rows if RunRequest.model_validate_json(request).path == address), None)


async def last_sizes(db: AsyncConnection, mapping_id: int, mode: SyncMode, limit: int) -> list[int]:
    """Return how many people the latest runs of a mapping in this mode were about that succeeded, newest first."""
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
