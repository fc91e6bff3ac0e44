"""Reminders for approvers: one for each day that a run has waited for approval."""

from collections.abc import Sequence

from core.engine import Engine
from core.models.run import Run, RunStatus
from core.store import audit_log
from core.store.audit_log import AuditAction, AuditEntry

DAY_S = 24 * 3600.0
#: The actor in the audit log: this program.
ACTOR = "iterable-sync"


def due(run: Run, entries: Sequence[AuditEntry], now: float) -> int | None:
    """Return the number of days that a run has waited if no reminder was sent for that day, else None."""
    if run.status is not RunStatus.NEEDS_APPROVAL:
        return None
    days = int((now - (run.finished_at or run.created_at)) // DAY_S)
    sent = [int((each.after or {}).get("day", 0)) for each in entries if each.action is AuditAction.RUN_REMINDED]
    return days if days > max(sent, default=0) else None


async def record(engine: Engine, run: Run, day: int, team_id: str | None) -> None:
    """Record a reminder, once for each day. The thread of the run's message shows it."""
    async with engine.database.write() as db:
        entries = await audit_log.of(db, [f"run:{run.id}"])
        if any(each.action is AuditAction.RUN_REMINDED and (each.after or {}).get("day") == day for each in entries):
            return
        await audit_log.add(
            db,
            team_id=team_id,
            actor=ACTOR,
            action=AuditAction.RUN_REMINDED,
            subject=f"run:{run.id}",
            after={"day": day},
        )
