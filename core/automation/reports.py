"""The use cases of reports: when a connection gets them, and making one.

A report is made in one transaction with its next time, and with its deliveries to routes. So of several processes one
makes it, and of times at which no process ran only the last.
"""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from core.automation import times
from core.automation.sources import wake
from core.engine import Engine
from core.errors import ValidationError
from core.models.reports import Report, ReportKind
from core.reporting import team_report
from core.settings import DAY_S
from core.store import audit_log, clock, outbox, reports
from core.store.audit_log import AuditAction
from core.store.reports import ReportSettings

# How long reports are kept, in seconds: Slack may take so long to show them.
_KEPT_S = 30 * DAY_S


async def set_reports(engine: Engine, chosen: ReportSettings, *, by: str, team_id: str | None) -> ReportSettings:
    """Store when a connection gets reports, and return it with the next times. Audited.

    Raises ValidationError if the time, the weekday or the time zone is wrong.
    """
    if not 0 <= chosen.weekday < len(times.DAYS):
        raise ValidationError("The weekday is a number from 0 (Monday) to 6 (Sunday).")
    checked = replace(chosen, at=times.check_time(chosen.at), time_zone=times.check_time_zone(chosen.time_zone))
    async with engine.database.write() as db:
        before = await reports.settings(db, chosen.connection_id)
        now = await clock.now(db)
        stored = replace(
            checked,
            next_weekly_at=_next(checked, ReportKind.WEEKLY, now) if checked.weekly else None,
            next_daily_at=_next(checked, ReportKind.DAILY, now) if checked.daily else None,
        )
        await reports.put(db, stored)
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.REPORTS_CHANGED,
            subject=f"connection:{chosen.connection_id}",
            before=_shown(before),
            after=_shown(stored),
        )
    wake(engine)
    return stored


async def preview(engine: Engine, connection_id: int, kind: ReportKind) -> Report:
    """Return the report of a connection up to now, without storing or sending it."""
    async with engine.database.read() as db:
        settings = await reports.settings(db, connection_id)
        now = await clock.now(db)
        return await team_report.make(db, connection_id, kind, settings.time_zone, now)


async def send_now(engine: Engine, connection_id: int, kind: ReportKind, *, by: str, team_id: str | None) -> Report:
    """Make the report of a connection up to now, for Slack and the routes that want it. Audited."""
    async with engine.database.write() as db:
        settings = await reports.settings(db, connection_id)
        report = await team_report.make(db, connection_id, kind, settings.time_zone, await clock.now(db))
        await _store(db, settings, report)
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.REPORT_SENT,
            subject=f"connection:{connection_id}",
            after={"kind": kind.value},
        )
    return report


async def send_due(engine: Engine) -> None:
    """Make the reports that are due."""
    async with engine.database.read() as db:
        due = await reports.due(db, await clock.now(db))
    for settings, kind in due:
        async with engine.database.write() as db:
            now = await clock.now(db)
            if await reports.claim(db, settings, kind, _next(settings, kind, now)):
                await _make_of_days(db, settings, kind, now)


async def _make_of_days(db: AsyncConnection, settings: ReportSettings, kind: ReportKind, now: float) -> None:
    """Make the report up to the midnight before its last time. A daily one about nothing is left out."""
    due_at = settings.next_at(kind) or now
    while (later := _next(settings, kind, due_at)) <= now:
        due_at = later
    end = team_report.midnight(due_at, settings.time_zone)
    report = await team_report.make(db, settings.connection_id, kind, settings.time_zone, end)
    if kind is ReportKind.WEEKLY or report.syncs or report.failed:
        await _store(db, settings, report)


async def _store(db: AsyncConnection, settings: ReportSettings, report: Report) -> None:
    """Store a report for Slack, and its deliveries to routes."""
    await reports.add(db, settings.connection_id, report, settings.channel, _KEPT_S)
    await outbox.report_made(db, settings.connection_id, report)


def _next(settings: ReportSettings, kind: ReportKind, after: float) -> float:
    day = times.DAYS[settings.weekday]
    cron = times.weekly(day, settings.at) if kind is ReportKind.WEEKLY else times.daily(settings.at)
    return times.next_time(cron, settings.time_zone, after)


def _shown(settings: ReportSettings) -> dict[str, object]:
    return {
        "weekly": times.DAYS[settings.weekday] if settings.weekly else None,
        "daily": settings.daily,
        "at": settings.at,
        "time_zone": settings.time_zone,
        "channel": settings.channel,
    }
