"""Reports: when each connection gets them, and those that were made."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.reports import Report, ReportKind
from core.models.run import RunStatus
from core.store import clock
from core.store.mappings import MappingStatus
from core.store.rows import by_key
from core.store.tables import mappings, rejections, report_settings, reports, runs

# Ids in one statement, and the number of rows in a group.
_AT_ONCE = 500
_COUNT = func.count()


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """When a connection gets reports. `at` is a time of day (HH:MM) in `time_zone`, `weekday` 0 for Monday.

    `channel` is the Slack channel (None: the alert channel). The next times are None if a report is off.
    """

    connection_id: int
    time_zone: str = "UTC"
    weekly: bool = False
    weekday: int = 0
    daily: bool = False
    at: str = "09:00"
    channel: str | None = None
    next_weekly_at: float | None = None
    next_daily_at: float | None = None

    def next_at(self, kind: ReportKind) -> float | None:
        """Return when a report is due next."""
        return self.next_weekly_at if kind is ReportKind.WEEKLY else self.next_daily_at


@dataclass(frozen=True, slots=True)
class MadeReport:
    """A report that was made. `channel` is where Slack shows it (None: the alert channel)."""

    id: int
    connection_id: int
    made_at: float
    channel: str | None
    report: Report


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that has ended, as reports count it."""

    id: str
    mapping_id: int
    status: RunStatus
    finished_at: float
    added: int
    updated: int
    removed: int
    rejected: int


async def settings(db: AsyncConnection, connection_id: int) -> ReportSettings:
    """Return the settings of a connection, or the default: no reports."""
    query = select(report_settings).where(report_settings.c.connection_id == connection_id)
    row = (await db.execute(query)).mappings().first()
    return ReportSettings(connection_id) if row is None else _settings(row)


async def settings_of(db: AsyncConnection, connection_ids: Collection[int]) -> dict[int, ReportSettings]:
    """Return the settings that were changed, by connection id."""
    query = select(report_settings).where(report_settings.c.connection_id.in_(list(connection_ids)))
    return {row["connection_id"]: _settings(row) for row in (await db.execute(query)).mappings()}


async def put(db: AsyncConnection, chosen: ReportSettings) -> None:
    """Store the settings of a connection."""
    of_connection = report_settings.c.connection_id == chosen.connection_id
    await db.execute(delete(report_settings).where(of_connection))
    values = {column.key: getattr(chosen, column.key) for column in report_settings.c}
    await db.execute(insert(report_settings).values(values))


async def due(db: AsyncConnection, now: float) -> list[tuple[ReportSettings, ReportKind]]:
    """Return the reports that are due."""
    is_due = or_(report_settings.c.next_weekly_at <= now, report_settings.c.next_daily_at <= now)
    rows = (await db.execute(select(report_settings).where(is_due))).mappings()
    return [
        (each, kind)
        for each in map(_settings, rows)
        for kind in ReportKind
        if (next_at := each.next_at(kind)) is not None and next_at <= now
    ]


async def claim(db: AsyncConnection, chosen: ReportSettings, kind: ReportKind, next_at: float) -> bool:
    """Set the next time of a due report. Returns False if another process did, or the settings were changed."""
    column = report_settings.c.next_weekly_at if kind is ReportKind.WEEKLY else report_settings.c.next_daily_at
    query = update(report_settings).where(
        report_settings.c.connection_id == chosen.connection_id, column == chosen.next_at(kind)
    )
    return bool((await db.execute(query.values({column.key: next_at}))).rowcount)


async def add(db: AsyncConnection, connection_id: int, report: Report, channel: str | None, kept_s: float) -> int:
    """Store a report that was made, and return its id. Those older than so many seconds are deleted."""
    now = await clock.now(db)
    old = (reports.c.connection_id == connection_id, reports.c.made_at < now - kept_s)
    await db.execute(delete(reports).where(*old))
    query = insert(reports).values(
        connection_id=connection_id, made_at=now, channel=channel, content=report.model_dump_json()
    )
    return int((await db.execute(query.returning(reports.c.id))).scalar_one())


async def made_since(db: AsyncConnection, since: float) -> list[MadeReport]:
    """Return the reports that were made at a time or later, oldest first."""
    query = select(reports).where(reports.c.made_at >= since).order_by(reports.c.id)
    return [
        MadeReport(row.id, row.connection_id, row.made_at, row.channel, Report.model_validate_json(row.content))
        for row in await db.execute(query)
    ]


async def ended_runs(db: AsyncConnection, connection_id: int, since: float) -> list[EndedRun]:
    """Return the runs that have ended at a time or later. Micro-batches are part of their daily run."""
    columns = (
        runs.c.id,
        runs.c.mapping_id,
        runs.c.status,
        runs.c.finished_at,
        runs.c.added,
        runs.c.updated,
        runs.c.removed,
        runs.c.rejected,
    )
    query = select(*columns).where(runs.c.connection_id == connection_id, runs.c.finished_at >= since, ~runs.c.is_live)
    return [EndedRun(row[0], row[1], RunStatus(row[2]), *row[3:]) for row in await db.execute(query)]


async def reasons(db: AsyncConnection, run_ids: Sequence[str], limit: int) -> list[tuple[str, int]]:
    """Return the most frequent reasons for rejections of runs, with their numbers."""
    counted: dict[str, int] = {}
    for first in range(0, len(run_ids), _AT_ONCE):
        query = select(rejections.c.reason, _COUNT).where(rejections.c.run_id.in_(run_ids[first : first + _AT_ONCE]))
        for reason, number in await db.execute(query.group_by(rejections.c.reason)):
            counted[reason] = counted.get(reason, 0) + number
    return sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]


async def waiting(db: AsyncConnection, connection_id: int) -> int:
    """Return how many runs of a connection wait for approval, and proposed mappings without such a run."""
    asks = (runs.c.connection_id == connection_id, runs.c.status == RunStatus.NEEDS_APPROVAL.value)
    with_run = set((await db.execute(select(runs.c.mapping_id).where(*asks))).scalars())
    proposed = select(mappings.c.id).where(
        mappings.c.connection_id == connection_id, mappings.c.status == MappingStatus.PROPOSED.value
    )
    number = len((await db.execute(select(runs.c.id).where(*asks))).scalars().all())
    return number + len(set((await db.execute(proposed)).scalars()) - with_run)


def _settings(row: Any) -> ReportSettings:
    return ReportSettings(**by_key(report_settings, row))
