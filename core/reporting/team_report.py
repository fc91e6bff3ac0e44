"""The report about the syncs of a connection in a week or a day: read from the runs, alerts and mappings.

Days begin at midnight in the team's time zone. The size of a list by the end of a day is the number of people that are
synced to it now, without what was changed since.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.reports import Changes, Report, ReportedAlert, ReportedMapping, ReportedReason, ReportKind
from core.models.run import RunStatus
from core.reporting.rejection_reasons import explain
from core.store import alerts, mappings, reports
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.reports import EndedRun

#: How many days the charts show.
DAYS = 14
_REPORTED_DAYS = {ReportKind.WEEKLY: 7, ReportKind.DAILY: 1}
# The most of each list in a report.
_MOST_MAPPINGS, _MOST_REASONS, _MOST_ALERTS, _MOST_NAMES = 50, 5, 10, 20


def midnight(at: float, time_zone: str) -> float:
    """Return the last midnight in a time zone before a time (both UTC seconds)."""
    zone = ZoneInfo(time_zone)
    return datetime.combine(datetime.fromtimestamp(at, zone).date(), time(), zone).timestamp()


async def make(db: AsyncConnection, connection_id: int, kind: ReportKind, time_zone: str, end: float) -> Report:
    """Return the report of a connection up to `end` (UTC seconds): of the last seven days, or of the last day.

    If `end` is not a midnight, the last day is the one that has begun, up to then.
    """
    starts, days = _days(end, time_zone)
    start = starts[-_REPORTED_DAYS[kind]]
    mapped = [
        each
        for each in await mappings.of_connection(db, connection_id)
        if each.status not in (MappingStatus.ARCHIVED, MappingStatus.DECLINED)
    ]
    runs = await reports.ended_runs(db, connection_id, starts[0])
    sizes = await mappings.sizes(db, [each.id for each in mapped])
    reported = [run for run in runs if start <= run.finished_at < end]
    lines = [_mapping(each, reported, runs, sizes.get(each.id, 0), [*starts[1:], end]) for each in mapped]
    lines.sort(key=lambda line: -(line.changes.added + line.changes.removed + line.changes.updated))
    names = {each.id: each.label for each in mapped}
    opened = [each for each in await alerts.current(db) if each.connection_id == connection_id and not each.closed_at]
    reasons = await reports.reasons(db, [run.id for run in reported if run.rejected], _MOST_REASONS)
    synced = {run.mapping_id for run in reported if run.status is RunStatus.SUCCEEDED}
    active = [each for each in mapped if each.status is MappingStatus.ACTIVE and each.created_at < start]
    return Report(
        kind=kind,
        start=datetime.fromtimestamp(start, UTC),
        end=datetime.fromtimestamp(max(end, start), UTC),
        time_zone=time_zone,
        days=days,
        changes_by_day=[
            _sum(run for run in runs if first <= run.finished_at < last)
            for first, last in zip(starts, [*starts[1:], end], strict=True)
        ],
        changes=_sum(reported),
        syncs=sum(line.syncs for line in lines),
        failed=sum(line.failed for line in lines),
        reasons=[ReportedReason(reason=reason, count=count, people=explain(reason).short) for reason, count in reasons],
        mappings=lines[:_MOST_MAPPINGS],
        mapping_count=len(mapped),
        waiting=await reports.waiting(db, connection_id),
        alerts=[
            ReportedAlert(code=each.code, message=each.message, audience=names.get(each.mapping_id or 0))
            for each in opened[:_MOST_ALERTS]
        ],
        paused=[each.label for each in mapped if each.status is MappingStatus.PAUSED][:_MOST_NAMES],
        not_synced=[each.label for each in active if each.id not in synced and kind is ReportKind.WEEKLY][:_MOST_NAMES],
    )


def _days(end: float, time_zone: str) -> tuple[list[float], list[str]]:
    """Return when each of the last days up to a time began (UTC seconds), and the dates."""
    zone = ZoneInfo(time_zone)
    last = datetime.fromtimestamp(end - 1, zone).date()
    dates = [last - timedelta(days=ago) for ago in reversed(range(DAYS))]
    starts = [datetime.combine(date, time(), zone).timestamp() for date in dates]
    return starts, [date.isoformat() for date in dates]


def _mapping(
    mapping: AudienceMapping, reported: Sequence[EndedRun], runs: Sequence[EndedRun], size: int, ends: Sequence[float]
) -> ReportedMapping:
    own = [run for run in runs if run.mapping_id == mapping.id]
    mine = [run for run in reported if run.mapping_id == mapping.id]
    later = [sum(run.added - run.removed for run in own if run.finished_at >= end) for end in ends]
    return ReportedMapping(
        id=mapping.id,
        audience=mapping.label,
        list_id=mapping.list_id,
        syncs=sum(run.status is RunStatus.SUCCEEDED for run in mine),
        failed=sum(run.status is RunStatus.FAILED for run in mine),
        changes=_sum(mine),
        sizes=[max(0, size - change) for change in later],
    )


def _sum(runs: Iterable[EndedRun]) -> Changes:
    total = Changes()
    for run in runs:
        total += Changes(added=run.added, updated=run.updated, removed=run.removed, rejected=run.rejected)
    return total
