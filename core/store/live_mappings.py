"""Live mappings: which there are, what each did today, and how it stands."""

from collections.abc import Collection
from collections.abc import Mapping as Numbers
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypedDict, Unpack

import orjson
from sqlalchemy import delete, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import Run
from core.store import inbox, ledger, mappings, rejections, runs
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy
from core.store.rows import by_key
from core.store.tables import batches, live_daily_stats
from core.store.tables import mappings as mappings_table
from core.store.tables import rejections as rejections_table
from core.store.tables import runs as runs_table

_ROWS = {"sqlite": "json_each(:rows)", "postgresql": "jsonb_array_elements(CAST(:rows AS jsonb)) AS each(value)"}
_COUNT = """
INSERT INTO live_days (mapping_id, day, changes, ignored)
SELECT CAST(value ->> 0 AS bigint), :day, CAST(value ->> 1 AS bigint), CAST(value ->> 2 AS bigint)
FROM {rows} WHERE true ORDER BY 1
ON CONFLICT (mapping_id, day) DO UPDATE SET
    changes = live_days.changes + excluded.changes, ignored = live_days.ignored + excluded.ignored
"""


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """How a live mapping stands. The numbers are today's (UTC), but for those of what waits.

    `backlog` is what is on its way to the list, and `oldest_age_s` how long the first of it waits. `waiting` is what
    waits for a person: all of it until the mapping is approved or resumed, and removals that are to be approved.
    """

    changes_today: int
    backlog: int
    oldest_age_s: float | None
    last_accepted_at: float | None
    added: int = 0
    updated: int = 0
    removed: int = 0
    rejected: int = 0
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    run_id: str | None = None
    """The run that holds the sum of the day, with its rejections."""


def day_of(at: float) -> str:
    """The day (UTC) of a time, as it stands in the table."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


async def everyone(db: AsyncConnection) -> list[AudienceMapping]:
    """Return all live mappings, oldest first."""
    query = select(mappings_table).where(mappings_table.c.is_live).order_by(mappings_table.c.id)
    return [mappings.from_row(row) for row in (await db.execute(query)).mappings()]


async def of_audiences(
    db: AsyncConnection, account_ids: Collection[str], ids: Collection[str]
) -> list[AudienceMapping]:
    """Return the live mappings of these accounts that are of these audiences."""
    query = select(mappings_table).where(
        mappings_table.c.mparticle_account_id.in_(account_ids), mappings_table.c.audience_id.in_(ids)
    )
    return [mappings.from_row(row) for row in (await db.execute(query)).mappings()]


async def of_lists_without_source(db: AsyncConnection, connection_id: int, audience_id: str) -> list[AudienceMapping]:
    """Return the mappings of a connection and an audience that no Firehose feeds yet."""
    query = select(mappings_table).where(
        mappings_table.c.connection_id == connection_id,
        mappings_table.c.audience_id == audience_id,
        mappings_table.c.mparticle_account_id.is_(None),
    )
    return [mappings.from_row(row) for row in (await db.execute(query.order_by(mappings_table.c.id))).mappings()]


async def count(db: AsyncConnection, day: str, came: Numbers[int, int], ignored: Numbers[int, int]) -> None:
    """Add to what came for mappings on a day, and to what of it was ignored."""
    rows = [(each, came.get(each, 0), ignored.get(each, 0)) for each in sorted({*came, *ignored})]
    if rows:
        statement = text(_COUNT.format(rows=_ROWS[db.dialect.name]))
        await db.execute(statement, {"rows": orjson.dumps(rows).decode(), "day": day})


async def run_of_day(db: AsyncConnection, mapping_id: int, day: str) -> str | None:
    """Return the run that holds the sum of a mapping's day."""
    query = select(live_daily_stats.c.run_id).where(
        live_daily_stats.c.mapping_id == mapping_id, live_daily_stats.c.day == day
    )
    run_id: str | None = (await db.execute(query)).scalar_one_or_none()
    return run_id


class LiveDayUpdate(TypedDict, total=False):
    """Columns of a mapping's day that may be set."""

    last_accepted_at: float | None
    run_id: str


async def set_day(db: AsyncConnection, mapping_id: int, day: str, **values: Unpack[LiveDayUpdate]) -> None:
    """Set columns of a mapping's day."""
    result = await db.execute(
        update(live_daily_stats)
        .where(live_daily_stats.c.mapping_id == mapping_id, live_daily_stats.c.day == day)
        .values(**values)
    )
    if not result.rowcount:
        await db.execute(insert(live_daily_stats).values(mapping_id=mapping_id, day=day, **values))


async def of_days(db: AsyncConnection, days: Collection[str]) -> list[tuple[str, int]]:
    """Return (day, mapping) where something came for a mapping on one of these days, or was done for it; by day."""
    came = or_(live_daily_stats.c.changes > 0, live_daily_stats.c.run_id.is_not(None))
    query = select(live_daily_stats.c.day, live_daily_stats.c.mapping_id).where(live_daily_stats.c.day.in_(days), came)
    rows = await db.execute(query.order_by(live_daily_stats.c.day, live_daily_stats.c.mapping_id))
    return [(day, mapping_id) for day, mapping_id in rows]


async def last_accepted(db: AsyncConnection, mapping_id: int) -> float | None:
    """Return when Iterable took a change of a mapping last."""
    query = (
        select(live_daily_stats.c.last_accepted_at)
        .where(live_daily_stats.c.mapping_id == mapping_id, live_daily_stats.c.last_accepted_at.is_not(None))
        .order_by(live_daily_stats.c.day.desc())
        .limit(1)
    )
    found: float | None = (await db.execute(query)).scalar_one_or_none()
    return found


async def unended(db: AsyncConnection, mapping_id: int | None = None) -> list[Run]:
    """Return the live runs (of one mapping or of all) that have not been added to their day's sum, oldest first."""
    query = select(runs_table).where(runs_table.c.is_live).order_by(runs_table.c.created_at)
    if mapping_id is not None:
        query = query.where(runs_table.c.mapping_id == mapping_id)
    return [Run.from_row(by_key(runs_table, row)) for row in (await db.execute(query)).mappings()]


async def lock(db: AsyncConnection, mapping_id: int) -> AudienceMapping | None:
    """Find a mapping, and keep others from changing it until the transaction ends.

    They may still add rows that refer to it: a message that waited for that, with rows that are wanted here, would be a
    deadlock on PostgreSQL.
    """
    query = select(mappings_table).where(mappings_table.c.id == mapping_id).with_for_update(key_share=True)
    row = (await db.execute(query)).mappings().first()
    return None if row is None else mappings.from_row(row)


async def add_to(db: AsyncConnection, this: Run, sum_id: str) -> None:
    """Add a run to another: its numbers, its changes and its rejections; and delete it."""
    numbers = {**this.counters.model_dump(), "requests": this.requests, "retries": this.retries}
    more = {name: runs_table.c[name] + number for name, number in {**numbers, "throttled": this.throttled}.items()}
    await runs.change(db, sum_id, finished_at=this.finished_at, **more)
    for table in (batches, rejections_table):
        await db.execute(update(table).where(table.c.run_id == this.id).values(run_id=sum_id))
    await db.execute(delete(runs_table).where(runs_table.c.id == this.id))


async def status(db: AsyncConnection, mapping_id: int, now: float) -> LiveStatus:
    """Return how a live mapping stands."""
    mapping = await mappings.by_id(db, mapping_id)
    assert mapping is not None
    day = day_of(now)
    query = select(live_daily_stats.c.changes, live_daily_stats.c.run_id).where(
        live_daily_stats.c.mapping_id == mapping_id, live_daily_stats.c.day == day
    )
    changes, run_id = (await db.execute(query)).one_or_none() or (0, None)
    all_of_it = await inbox.backlog(db, mapping_id)
    backlog, oldest, waiting = all_of_it.size, all_of_it.oldest, 0
    if mapping.bulk_removal_cursor is not None:  # those that are still to be marked, too
        backlog += await ledger.size(db, mapping_id, after=mapping.bulk_removal_cursor)
    if mapping.status is not MappingStatus.ACTIVE:
        backlog, oldest, waiting = 0, None, all_of_it.size
    elif mapping.removal_policy is RemovalPolicy.ASK:
        waiting = await inbox.removals_that_wait(db, mapping_id, mapping.approved_until)
        backlog -= waiting
        oldest = await inbox.oldest(db, mapping_id, inbox.DeliveryFilter(False, mapping.approved_until))
    this = None if run_id is None else await runs.by_id(db, run_id)
    return LiveStatus(
        changes_today=changes,
        backlog=backlog,
        oldest_age_s=None if oldest is None else max(0.0, now - oldest),
        last_accepted_at=await last_accepted(db, mapping_id),
        added=this.counters.added if this else 0,
        updated=this.counters.updated if this else 0,
        removed=this.counters.removed if this else 0,
        rejected=this.counters.rejected if this else 0,
        rejected_by_reason=await rejections.by_reason(db, this.id) if this else {},
        waiting=waiting,
        run_id=this.id if this else None,
    )
