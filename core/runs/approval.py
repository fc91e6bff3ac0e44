"""Approval: what a run waits for a person to decide about, and the decision.

A decision is one transaction that only the first one who decides gets through: clicking twice, or two people at once,
decides once. Who may decide is asked before (core/connections/permissions.py).
"""

from core.engine import Engine
from core.models.run import Guard, GuardName, Run, RunRequest
from core.store import audit_log, mappings, runs
from core.store.audit_log import AuditAction


def open_guards(run: Run) -> list[Guard]:
    """The guards of a run's plan that nobody has overruled."""
    if run.plan is None:
        return []
    return [guard for guard in run.plan.guards if not _is_overruled(guard, run.request)]


def _is_overruled(guard: Guard, request: RunRequest) -> bool:
    return request.allow_empty if guard.name is GuardName.EMPTY_AUDIENCE else request.approved


async def approve(engine: Engine, run_id: str, *, by: str, comment: str | None, team_id: str | None) -> bool:
    """Approve a run that waits, and with it its mapping where that is only proposed; it is queued to go on.

    Returns False where somebody has decided already.
    """
    if not await _decide(engine, run_id, approved=True, by=by, comment=comment, team_id=team_id):
        return False
    engine.queued.set()
    return True


async def decline(engine: Engine, run_id: str, *, by: str, comment: str | None, team_id: str | None) -> bool:
    """Decline a run that waits, and with it its mapping where that is only proposed. Nothing was sent, nothing will be.

    Returns False where somebody has decided already.
    """
    return await _decide(engine, run_id, approved=False, by=by, comment=comment, team_id=team_id)


async def _decide(
    engine: Engine, run_id: str, *, approved: bool, by: str, comment: str | None, team_id: str | None
) -> bool:
    async with engine.database.write() as db:
        this = await runs.by_id(db, run_id)
        assert this is not None
        request = this.request.model_copy(update={"approved": True, "allow_empty": True}) if approved else None
        if not await runs.decide(db, this, request=request, by=by, comment=comment):
            return False
        state = mappings.MappingStatus.ACTIVE if approved else mappings.MappingStatus.DECLINED
        await mappings.decide(db, this.mapping_id, state, by=by, comment=comment)
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.RUN_APPROVED if approved else AuditAction.RUN_DECLINED,
            subject=f"run:{run_id}",
            after={"comment": comment, "guards": [guard.name.value for guard in open_guards(this)]},
        )
    return True
