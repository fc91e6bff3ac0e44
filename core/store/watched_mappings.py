"""The mappings and runs that alert rules watch between the ends of runs."""

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import Run, RunPhase, RunStatus
from core.store.alert_rules import Rule
from core.store.mappings import MappingStatus
from core.store.rows import by_key
from core.store.tables import alert_rules, file_sources, mappings, runs, schedules


async def automatic(db: AsyncConnection) -> dict[int, bool]:
    """Return the active mappings that may be overdue, and whether each is synced without a person.

    Those are the mappings with a schedule that is not paused, and those that a person has given a limit.
    """
    is_scheduled = (
        select(schedules.c.id)
        .join(file_sources, file_sources.c.mapping_id == schedules.c.mapping_id)
        .where(schedules.c.mapping_id == mappings.c.id, ~schedules.c.is_paused)
        .exists()
    )
    has_limit = (
        select(alert_rules.c.id)
        .where(
            alert_rules.c.rule == Rule.OVERDUE.value,
            alert_rules.c.threshold.is_not(None),
            alert_rules.c.connection_id == mappings.c.connection_id,
            or_(alert_rules.c.mapping_id.is_(None), alert_rules.c.mapping_id == mappings.c.id),
        )
        .exists()
    )
    query = select(mappings.c.id, is_scheduled.label("is_scheduled")).where(
        mappings.c.status == MappingStatus.ACTIVE.value, ~mappings.c.is_live, or_(is_scheduled, has_limit)
    )
    return {mapping_id: bool(scheduled) for mapping_id, scheduled in await db.execute(query)}


async def active_runs(db: AsyncConnection) -> list[Run]:
    """Return the runs that a process plans or uploads now. Runs that wait, and those of live changes, are left out."""
    at_work = [RunStatus.PLANNING.value, RunStatus.RUNNING.value]
    waits = [RunPhase.WAITING.value, RunPhase.FROZEN.value]
    query = select(runs).where(
        and_(runs.c.status.in_(at_work), runs.c.started_at.is_not(None), ~runs.c.is_live),
        runs.c.worker_id.is_not(None),
        runs.c.phase.not_in(waits),
    )
    return [Run.from_row(by_key(runs, row)) for row in (await db.execute(query)).mappings()]
