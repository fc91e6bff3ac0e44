"""Approval: the guards that a run waits for, and the decision of a person.

A decision is one transaction that only the first decision gets through: two clicks, or two people at once, decide
once. Whether the person may decide is checked before (core/connections/permissions.py).
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import ConflictError
from core.models.run import Guard, GuardName, Run, RunRequest, RunStatus
from core.runs.lookup import require
from core.store import audit_log, mappings, runs
from core.store.audit_log import AuditAction
from core.store.mappings import MappingStatus


def open_guards(run: Run) -> list[Guard]:
    """Return the guards of a run's plan that no person has overruled."""
    return _open(run, run.request)


def _open(run: Run, request: RunRequest) -> list[Guard]:
    return [] if run.plan is None else [guard for guard in run.plan.guards if not _is_overruled(guard, request)]


def _is_overruled(guard: Guard, request: RunRequest) -> bool:
    return request.allow_empty if guard.name is GuardName.EMPTY_AUDIENCE else request.approved


async def approve(engine: Engine, run_id: str, *, by: str, comment: str | None, team_id: str | None) -> bool:
    """Approve a run that waits, and its mapping if that is only proposed; any worker continues the run.

    Returns False if it was decided already. Raises NotFoundError if there is no such run.
    """
    async with engine.database.write() as db:
        run = await require(db, run_id)
        request = _overruling(run, approved=True, allow_empty=True)
        is_first = await _decide(db, run, request, by=by, comment=comment, team_id=team_id)
    if is_first:
        engine.queued.set()
    return is_first


async def decline(engine: Engine, run_id: str, *, by: str, comment: str | None, team_id: str | None) -> bool:
    """Decline a run that waits, and its mapping if that is only proposed. Nothing was sent, nothing will be.

    Returns False if it was decided already. Raises NotFoundError if there is no such run.
    """
    async with engine.database.write() as db:
        run = await require(db, run_id)
        return await _decide(db, run, None, by=by, comment=comment, team_id=team_id)


async def overrule_guards(
    engine: Engine, run_id: str, *, approved: bool, allow_empty: bool, by: str, team_id: str | None = None
) -> Run:
    """Overrule some guards of a run: `allow_empty` that of an empty audience, `approved` all others.

    If the run waits for approval and this leaves none open, it is approved: it is RUNNING, and this process has to
    execute it (`core.runs.worker.continue_approved`). A run that is not planned yet will not wait for what was
    overruled. Returns the run as it is then. Raises NotFoundError if there is no such run, and ConflictError if it was
    decided meanwhile.
    """
    async with engine.database.write() as db:
        run = await require(db, run_id)
        request = _overruling(run, approved=approved, allow_empty=allow_empty)
        if run.status is RunStatus.NEEDS_APPROVAL and not _open(run, request):
            worker = engine.presence.id
            if not await _decide(db, run, request, by=by, comment=None, team_id=team_id, worker=worker):
                raise ConflictError(f"Somebody has decided about run {run_id} already.", run_id=run_id)
        elif request != run.request:
            await runs.set_request(db, run_id, request)
            await _record(db, AuditAction.RUN_APPROVED, run, _overruled(run, request), by, None, team_id)
        return await require(db, run_id)


def _overruling(run: Run, *, approved: bool, allow_empty: bool) -> RunRequest:
    return run.request.model_copy(
        update={
            "approved": run.request.approved or approved,
            "allow_empty": run.request.allow_empty or allow_empty,
        }
    )


def _overruled(run: Run, request: RunRequest) -> list[Guard]:
    return [guard for guard in open_guards(run) if _is_overruled(guard, request)]


async def _decide(
    db: AsyncConnection,
    run: Run,
    request: RunRequest | None,
    *,
    by: str,
    comment: str | None,
    team_id: str | None,
    worker: str | None = None,
) -> bool:
    """Approve a run with this request, or (None) decline it. `worker` continues it (None: any). Was it the first?"""
    if not await runs.decide(db, run, request=request, by=by, comment=comment, worker=worker):
        return False
    status = MappingStatus.DECLINED if request is None else MappingStatus.ACTIVE
    await mappings.decide(db, run.mapping_id, status, by=by, comment=comment)
    action = AuditAction.RUN_DECLINED if request is None else AuditAction.RUN_APPROVED
    await _record(db, action, run, open_guards(run), by, comment, team_id)
    return True


async def _record(
    db: AsyncConnection,
    action: AuditAction,
    run: Run,
    guards: Sequence[Guard],
    by: str,
    comment: str | None,
    team_id: str | None,
) -> None:
    after = {"comment": comment, "guards": [guard.name.value for guard in guards]}
    await audit_log.add(db, team_id=team_id, actor=by, action=action, subject=f"run:{run.id}", after=after)
