"""Whether schedules, sources, retries or reports are due: one statement for all of them."""

from sqlalchemy import Float, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import run_log
from core.store.tables import file_sources, report_settings, runs, schedules

_NOW = bindparam("now", type_=Float)
_ANY_DUE = (
    select(schedules.c.next_due_at)
    .where(schedules.c.next_due_at <= _NOW, ~schedules.c.is_paused)
    .union_all(
        select(file_sources.c.look_at).where(file_sources.c.look_at <= _NOW),
        select(runs.c.retry_at).where(runs.c.retry_at <= _NOW),
        select(report_settings.c.next_weekly_at).where(report_settings.c.next_weekly_at <= _NOW),
        select(report_settings.c.next_daily_at).where(report_settings.c.next_daily_at <= _NOW),
        run_log.next_due(_NOW),
    )
    .limit(1)
)


async def any_due(db: AsyncConnection, now: float) -> bool:
    """Return whether anything is due at a time (UTC seconds)."""
    return (await db.execute(_ANY_DUE, {"now": now})).first() is not None
