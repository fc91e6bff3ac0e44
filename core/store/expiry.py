"""The deletion of old runs, alerts and audit entries, if settings limit how long they are kept."""

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import RunStatus
from core.store import run_totals
from core.store.tables import alerts, audit_log, runs

#: So many of the newest runs of a mapping are kept, however old: rules compare with them, and charts show them.
KEPT_RUNS = 25
_ENDED = [status.value for status in RunStatus if not status.is_active and not status.is_resumable]


async def drop_runs(db: AsyncConnection, before: float, limit: int) -> int:
    """Delete up to `limit` runs that ended before a time (UTC seconds) and have no details any longer.

    Runs that wait for the run log are kept, and the newest runs of each mapping. Returns how many were deleted.
    """
    newer = runs.alias("newer")
    newer_ones = select(func.count()).select_from(newer)
    newer_ones = newer_ones.where(newer.c.mapping_id == runs.c.mapping_id, newer.c.created_at > runs.c.created_at)
    chosen = (
        select(runs.c.id)
        .where(
            runs.c.finished_at < before,
            runs.c.is_purged,
            ~runs.c.is_log_due,
            func.coalesce(runs.c.status, "").in_(_ENDED),  # in this form, SQLite does not take the index of the status
            newer_ones.scalar_subquery() >= KEPT_RUNS,
        )
        .order_by(runs.c.finished_at)
        .limit(limit)
    )
    return await run_totals.delete_runs(db, runs.c.id.in_(chosen))


async def drop_alerts(db: AsyncConnection, before: float, limit: int) -> int:
    """Delete up to `limit` alerts that were closed before a time (UTC seconds). Returns how many."""
    chosen = select(alerts.c.id).where(alerts.c.closed_at < before).limit(limit)
    return (await db.execute(delete(alerts).where(alerts.c.id.in_(chosen)))).rowcount


async def drop_audit(db: AsyncConnection, before: float, limit: int) -> int:
    """Delete up to `limit` audit entries that are older than a time (UTC seconds). Returns how many."""
    chosen = select(audit_log.c.id).where(audit_log.c.at < before).order_by(audit_log.c.id).limit(limit)
    return (await db.execute(delete(audit_log).where(audit_log.c.id.in_(chosen)))).rowcount
