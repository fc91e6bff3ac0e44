"""Reminding those who decide: once for each day that a run waits."""

from collections.abc import Sequence

from core.engine import Engine
from core.models.run import Run, RunStatus
from core.store import audit_log
from core.store.audit_log import AuditAction, AuditEntry

DAY_S = 24 * 3600.0
#: Who reminds: this program itself.
ACTOR = "iterable-sync"


def due(run: Run, entries: Sequence[AuditEntry], now: float) -> int | None:
    """Return the number of the reminder (the days that a run has waited) that is due and was not sent."""
    if run.status is not RunStatus.NEEDS_APPROVAL:
        return None
    days = int((now - (run.finished_at or run.created_at)) // DAY_S)
    sent = [int((each.after or {}).get("day", 0)) for each in entries if each.action is AuditAction.RUN_REMINDED]
    return days if days > max(sent, default=0) else None


async def record(engine: Engine, run: Run, day: int, team_id: str | None) -> None:
    """Record that those who decide are reminded; the thread of the run's message shows it."""
    async with engine.database.write() as db:
        known = await audit_log.of(db, [f"run:{run.id}"])
        if any(each.action is AuditAction.RUN_REMINDED and (each.after or {}).get("day") == day for each in known):
            return
        await audit_log.add(
            db,
            team_id=team_id,
            actor=ACTOR,
            action=AuditAction.RUN_REMINDED,
            subject=f"run:{run.id}",
            after={"day": day},
        )
