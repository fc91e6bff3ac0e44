"""Approval: the guards for which a run waits, and the decision of an approver.

An approver approves a plan, not a run. A decision contains the digest of the plan that the approver saw. The
transaction that decides compares it with the digest of the current plan. Only the first decision counts, if an approver
clicks twice or two approvers decide at once. The caller checks who may decide (core/connections/permissions.py).
"""

from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from core.connections.succession import settle
from core.engine import Engine
from core.errors import NotFoundError
from core.models.run import Guard, Run, RunStatus
from core.store import approvals, audit_log, clock, inbox, mappings, runs
from core.store.audit_log import COMMAND_LINE, OPERATORS, PROGRAM, AuditAction
from core.store.mappings import AudienceMapping, MappingStatus

DAY_S = 24 * 3600.0


class Decision(StrEnum):
    """The outcome of a decision."""

    RECORDED = "recorded"
    TOO_LATE = "too_late"
    """The run no longer waits for approval: it was decided, cancelled, or is being planned again."""
    CHANGED = "changed"
    """The run waits with another plan than the one that the approver saw."""
    EXPIRED = "expired"
    """The run waited for too long, and has expired."""


def open_guards(run: Run) -> list[Guard]:
    """Return the guards of a run's plan that an approver still has to decide about."""
    return [] if run.plan is None or run.is_approved else list(run.plan.guards)


async def approve(
    engine: Engine,
    run_id: str,
    *,
    plan_digest: str | None,
    by: str,
    comment: str | None,
    team_id: str | None,
    worker: str | None = None,
) -> Decision:
    """Approve the plan of a waiting run, and its mapping if that is only proposed. Returns the outcome.

    `plan_digest` is the plan that the approver saw. `worker` is the process that will execute the run (None: any
    worker). Raises NotFoundError if there is no such run.
    """
    decision = await _decide(
        engine, run_id, approved=True, plan_digest=plan_digest, by=by, comment=comment, team_id=team_id, worker=worker
    )
    if decision is Decision.RECORDED:
        engine.queued.set()
    return decision


async def decline(
    engine: Engine, run_id: str, *, plan_digest: str | None, by: str, comment: str | None, team_id: str | None
) -> Decision:
    """Decline the plan of a waiting run, and its mapping if that is only proposed. Nothing is sent.

    Returns the outcome. Raises NotFoundError if there is no such run.
    """
    return await _decide(
        engine, run_id, approved=False, plan_digest=plan_digest, by=by, comment=comment, team_id=team_id
    )


async def expire_waiting(engine: Engine) -> int:
    """End the runs that have waited too long for approval. Returns how many."""
    async with engine.database.read() as db:  # usually none has expired, and a read needs no lock
        if not await approvals.any_waiting(db, await _expires_before(engine, db)):
            return 0
    async with engine.database.write() as db:
        return len(await _expire(engine, db))


async def _expire(engine: Engine, db: AsyncConnection, run_id: str | None = None) -> list[str]:
    expired = await approvals.expire(db, await _expires_before(engine, db), _expired_text(engine), run_id)
    for expired_id in expired:
        await audit_log.add(
            db, team_id=None, actor=PROGRAM, action=AuditAction.RUN_EXPIRED, subject=f"run:{expired_id}", after=None
        )
    return expired


async def _expires_before(engine: Engine, db: AsyncConnection) -> float:
    return await clock.now(db) - engine.settings.approval_expiry_s


def _expired_text(engine: Engine) -> str:
    days = engine.settings.approval_expiry_s / DAY_S
    wait = f"{days:g} day{'' if days == 1 else 's'}" if days >= 1 else f"{days * 24:.3g} hours"
    return f"No one decided within {wait}, so the approval expired. Nothing was sent. Plan it again to ask once more."


async def _decide(
    engine: Engine,
    run_id: str,
    *,
    approved: bool,
    plan_digest: str | None,
    by: str,
    comment: str | None,
    team_id: str | None,
    worker: str | None = None,
) -> Decision:
    async with engine.database.write() as db:
        run, obstacle = await _locked(engine, db, run_id, plan_digest)
        if obstacle is not None:
            return obstacle
        return await _record(
            db, run, approved=approved, plan_digest=plan_digest, by=by, comment=comment, team_id=team_id, worker=worker
        )


async def decide_together(
    engine: Engine,
    plans: Sequence[tuple[str, str | None]],
    *,
    approves: bool,
    by: str,
    comment: str | None,
    team_id: str | None,
) -> Decision:
    """Approve or decline the plans of several waiting runs, and their mappings: all of them, or none.

    `plans` are the runs, each with the plan that the approver saw. Returns RECORDED, or why nothing was decided. Raises
    NotFoundError if there is no such run.
    """
    async with engine.database.write() as db:
        locked = []
        for run_id, plan_digest in sorted(plans):  # in one order, so that two decisions don't wait for each other
            run, obstacle = await _locked(engine, db, run_id, plan_digest)
            if obstacle is not None:
                return obstacle
            locked.append((run, plan_digest))
        for run, plan_digest in locked:
            decision = await _record(
                db,
                run,
                approved=approves,
                plan_digest=plan_digest,
                by=by,
                comment=comment,
                team_id=team_id,
                worker=None,
            )
            assert decision is Decision.RECORDED  # the run is locked, and waits
    if approves:
        engine.queued.set()
    return Decision.RECORDED


async def _locked(
    engine: Engine, db: AsyncConnection, run_id: str, plan_digest: str | None
) -> tuple[Run, Decision | None]:
    """Lock a run. Returns it, and why it can't be decided (None: it can)."""
    run = await runs.lock(db, run_id)
    if run is None:
        raise NotFoundError(f'There is no run "{run_id}".', run_id=run_id)
    if run.status is not RunStatus.NEEDS_APPROVAL:
        return run, Decision.TOO_LATE
    if await _expire(engine, db, run_id):
        return run, Decision.EXPIRED
    is_other = plan_digest is None or run.plan_digest != plan_digest
    return run, Decision.CHANGED if is_other else None


async def _record(
    db: AsyncConnection,
    run: Run,
    *,
    approved: bool,
    plan_digest: str | None,
    by: str,
    comment: str | None,
    team_id: str | None,
    worker: str | None,
) -> Decision:
    """Store a decision about a locked run and, if its mapping is only proposed, about the mapping."""
    if approved:
        is_decided = await approvals.approve(db, run, by=by, comment=comment, worker=worker)
    else:
        is_decided = await approvals.decline(db, run, by=by, comment=comment)
    if not is_decided:
        return Decision.TOO_LATE
    await _decide_mapping(db, run, approved=approved, by=by, comment=comment)
    await audit_log.add(
        db,
        team_id=team_id,
        actor=by,
        action=AuditAction.RUN_APPROVED if approved else AuditAction.RUN_DECLINED,
        subject=f"run:{run.id}",
        after={"comment": comment, "guards": [guard.name.value for guard in open_guards(run)], "plan": plan_digest},
    )
    return Decision.RECORDED


async def _decide_mapping(db: AsyncConnection, run: Run, *, approved: bool, by: str, comment: str | None) -> None:
    """Approve or decline the mapping of a run, if it is only proposed, and the run shows its fields and settings."""
    mapping = await mappings.by_id(db, run.mapping_id)
    if mapping is None or (approved and not _shows_settings(run, mapping)):
        return
    status = MappingStatus.ACTIVE if approved else MappingStatus.DECLINED
    decided = await mappings.decide(db, run.mapping_id, status, by=by, comment=comment)
    if decided is MappingStatus.DECLINED:
        await inbox.drop_waiting(db, run.mapping_id)
    if decided is not None:
        await settle(db, run.mapping_id, decided, by=by, team_id=run.request.team_id)


async def confirm_mapping(db: AsyncConnection, run: Run) -> None:
    """Approve the data fields and settings of a mapping with which a run was approved in advance (`--yes`)."""
    mapping = await mappings.by_id(db, run.mapping_id)
    if mapping is None or mapping.status is not MappingStatus.PROPOSED or not _shows_settings(run, mapping):
        return
    is_asked_for = mapping.fields or mapping.waits_for_change or mapping.proposed_by in OPERATORS
    if not (run.is_approved or run.request.approved) or run.request.live or not is_asked_for:
        return
    by = run.started_by or COMMAND_LINE
    if await mappings.decide(db, mapping.id, MappingStatus.ACTIVE, by=by, comment=None):
        subject, after = f"mapping:{mapping.id}", {"fields": dict(mapping.fields), "run": run.id}
        await audit_log.add(
            db, team_id=None, actor=by, action=AuditAction.MAPPING_APPROVED, subject=subject, after=after
        )
        await settle(db, mapping.id, MappingStatus.ACTIVE, by=by, team_id=run.request.team_id)


def _shows_settings(run: Run, mapping: AudienceMapping) -> bool:
    """Return whether the plan of a run was made with what there is to approve of its mapping."""
    if run.plan is None or run.plan.fields != dict(mapping.fields):
        return False
    return mapping.change_before is None or run.plan.settings == mapping.settings_digest
