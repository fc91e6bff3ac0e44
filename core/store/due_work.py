"""Whether schedules, sources, retries or reports are due: one statement for all of them."""

from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock, run_log
from core.store.tables import file_sources, report_settings, runs, schedules


async def any_due(db: AsyncConnection) -> bool:
    """Return whether anything is due."""
    return (await db.execute(_any_due(clock.AT_START))).first() is not None


def _any_due(now: ColumnElement[Any]) -> CompoundSelect[Any]:
    schedule = select(schedules.c.next_due_at).where(schedules.c.next_due_at <= now, ~schedules.c.is_paused)
    return schedule.union_all(
        select(file_sources.c.look_at).where(file_sources.c.look_at <= now),
        select(runs.c.retry_at).where(runs.c.retry_at <= now),
        select(report_settings.c.next_weekly_at).where(report_settings.c.next_weekly_at <= now),
        select(report_settings.c.next_daily_at).where(report_settings.c.next_daily_at <= now),
        run_log.next_due(now),
    ).limit(1)
