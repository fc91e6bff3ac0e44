"""Live mappings: their daily statistics and their status."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from collections.abc import Mapping as Numbers
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict, Unpack
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import bindparam, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import Run
from core.store import inbox, ledger, mappings, rejections, runs
from core.store.database import parsed
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy
from core.store.rows import by_key
from core.store.tables import batches, live_daily_stats, report_settings
from core.store.tables import mappings as mappings_table
from core.store.tables import rejections as rejections_table
from core.store.tables import runs as runs_table

_ROWS = {"sqlite": "json_each(:rows)", "postgresql": "jsonb_array_elements(CAST(:rows AS jsonb)) AS each(value)"}
# The first of a day ends a silence that began on an earlier one. (`max` of two is SQLite's, `greatest` PostgreSQL's.)
_COUNT = """
INSERT INTO live_days (mapping_id, day, changes, ignored, last_received_at, longest_silence_s)
SELECT CAST(value ->> 0 AS bigint), :day, CAST(value ->> 1 AS bigint), CAST(value ->> 2 AS bigint), :now,
    coalesce(:now - (SELECT max(last_received_at) FROM live_days
        WHERE mapping_id = CAST(value ->> 0 AS bigint) AND last_received_at <= :now), 0)
FROM {rows} WHERE true ORDER BY 1
ON CONFLICT (mapping_id, day) DO UPDATE SET
    changes = live_days.changes + excluded.changes, ignored = live_days.ignored + excluded.ignored,
    last_received_at = {greatest}(excluded.last_received_at, coalesce(live_days.last_received_at, 0)),
    longest_silence_s = {greatest}(
        excluded.last_received_at - coalesce(live_days.last_received_at, excluded.last_received_at),
        coalesce(live_days.longest_silence_s, 0))
"""
_GREATEST = {"sqlite": "max", "postgresql": "greatest"}
#: The time zone by which days begin if the connection has no other.
UTC = "UTC"


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """The status of a live mapping. Counts are of today, except those of pending changes.

    `backlog` counts the changes on their way to the list, and `oldest_age_s` is the age of the oldest. `waiting` counts
    changes that wait for a person: all, until the mapping is approved or resumed, and removals that need approval.
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
    """The daily run, which holds the day's totals and rejections."""

    @property
    def unchanged(self) -> int:
        """The changes of today that had no effect: the list was so already, or a later change of the same person took
        their place. With the other numbers they add up to the changes of today."""
        outcomes = self.added + self.updated + self.removed + self.rejected
        return max(0, self.changes_today - outcomes - self.backlog - self.waiting)


def day_of(at: float, time_zone: str = UTC) -> str:
    """Return the day of a time in a time zone, as in the table: 2026-01-31."""
    return datetime.fromtimestamp(at, ZoneInfo(time_zone)).date().isoformat()


async def time_zones(db: AsyncConnection, mapping_ids: Collection[int] | None = None) -> dict[int, str]:
    """Return the time zones of mappings (None: of all) by which their days begin, as far as they differ from UTC.

    They are those of the reports of their connections.
    """
    of_connection = report_settings.c.connection_id == mappings_table.c.connection_id
    query = select(mappings_table.c.id, report_settings.c.time_zone).join(report_settings, of_connection)
    query = query.where(report_settings.c.time_zone != UTC)
    if mapping_ids is not None:
        query = query.where(mappings_table.c.id.in_(list(mapping_ids)))
    return {mapping_id: zone for mapping_id, zone in await db.execute(query)}  # noqa: C416  # rows, not pairs


async def day_now(db: AsyncConnection, mapping_id: int, at: float) -> str:
    """Return the day of a time for a mapping, by the time zone of its connection."""
    return day_of(at, (await time_zones(db, [mapping_id])).get(mapping_id, UTC))


async def everyone(db: AsyncConnection) -> list[AudienceMapping]:
    """Return all live mappings, oldest first."""
    query = select(mappings_table).where(mappings_table.c.is_live).order_by(mappings_table.c.id)
    return [mappings.from_row(row) for row in (await db.execute(query)).mappings()]


_OF_AUDIENCES = select(mappings_table).where(
    mappings_table.c.mparticle_account_id.in_(bindparam("accounts", expanding=True)),
    mappings_table.c.audience_id.in_(bindparam("audiences", expanding=True)),
)


async def of_audiences(
    db: AsyncConnection, account_ids: Collection[str], ids: Collection[str]
) -> list[AudienceMapping]:
    """Return the mappings of these audiences in these mParticle accounts."""
    rows = await db.execute(_OF_AUDIENCES, {"accounts": sorted(account_ids), "audiences": sorted(ids)})
    return [mappings.from_values(row) for row in rows]


async def of_lists_without_source(db: AsyncConnection, connection_id: int, audience_id: str) -> list[AudienceMapping]:
    """Return the mappings of an audience in a connection that no Firehose feeds yet."""
    query = select(mappings_table).where(
        mappings_table.c.connection_id == connection_id,
        mappings_table.c.audience_id == audience_id,
        mappings_table.c.mparticle_account_id.is_(None),
    )
    return [mappings.from_row(row) for row in (await db.execute(query.order_by(mappings_table.c.id))).mappings()]


async def count(
    db: AsyncConnection,
    now: float,
    received: Numbers[int, int],
    ignored: Numbers[int, int],
    zones: Numbers[int, str],
) -> None:
    """Add received and ignored changes, by mapping id, to the counts of the day of `now`, which begins in the time zone
    of each mapping.

    `now` is the time by the database's clock (UTC seconds). `zones` are those that differ from UTC.
    """
    ids = sorted({*received, *ignored})
    if not ids:
        return
    name = db.dialect.name
    statement = parsed(_COUNT.format(rows=_ROWS[name], greatest=_GREATEST[name]))
    by_day: dict[str, list[tuple[int, int, int]]] = {}
    for mapping_id in ids:
        row = (mapping_id, received.get(mapping_id, 0), ignored.get(mapping_id, 0))
        by_day.setdefault(day_of(now, zones.get(mapping_id, UTC)), []).append(row)
    for day, rows in sorted(by_day.items()):
        await db.execute(statement, {"rows": orjson.dumps(rows).decode(), "day": day, "now": now})


@dataclass(frozen=True, slots=True)
class Traffic:
    """What came for a mapping on a day: how many changes, when the last one, and the longest silence that ended then.

    The times are UTC seconds and seconds; None for days before they were recorded.
    """

    changes: int
    last_received_at: float | None
    longest_silence_s: float | None


async def traffic(db: AsyncConnection, since: str) -> dict[int, list[Traffic]]:
    """Return what came on each day from `since` on, by mapping."""
    columns = (live_daily_stats.c[name] for name in ("changes", "last_received_at", "longest_silence_s"))
    query = select(live_daily_stats.c.mapping_id, *columns).where(live_daily_stats.c.day >= since)
    by_mapping: dict[int, list[Traffic]] = defaultdict(list)
    for mapping_id, *values in await db.execute(query.order_by(live_daily_stats.c.day)):
        by_mapping[mapping_id].append(Traffic(*values))
    return by_mapping


async def run_of_day(db: AsyncConnection, mapping_id: int, day: str) -> str | None:
    """Return the id of a mapping's daily run, or None."""
    query = select(live_daily_stats.c.run_id).where(
        live_daily_stats.c.mapping_id == mapping_id, live_daily_stats.c.day == day
    )
    run_id: str | None = (await db.execute(query)).scalar_one_or_none()
    return run_id


class LiveDayUpdate(TypedDict, total=False):
    """Columns of a mapping's day that may be set."""

    last_accepted_at: float | None
    run_id: str
    longest_silence_s: float | None


async def set_day(db: AsyncConnection, mapping_id: int, day: str, **values: Unpack[LiveDayUpdate]) -> None:
    """Set columns of a mapping's day."""
    result = await db.execute(
        update(live_daily_stats)
        .where(live_daily_stats.c.mapping_id == mapping_id, live_daily_stats.c.day == day)
        .values(**values)
    )
    if not result.rowcount:
        await db.execute(insert(live_daily_stats).values(mapping_id=mapping_id, day=day, **values))


# Rows are arrays: mapping id, day, daily run if there is none yet, when Iterable accepted a change.
_NOTE_DAYS = """
INSERT INTO live_days (mapping_id, day, run_id, last_accepted_at)
SELECT CAST(value ->> 0 AS bigint), value ->> 1, value ->> 2, CAST(value ->> 3 AS double precision)
FROM {rows} WHERE true ORDER BY 1
ON CONFLICT (mapping_id, day) DO UPDATE SET run_id = coalesce(live_days.run_id, excluded.run_id),
    last_accepted_at = coalesce(excluded.last_accepted_at, live_days.last_accepted_at)
RETURNING mapping_id, run_id
"""


async def note_days(db: AsyncConnection, rows: Sequence[tuple[int, str, str, float | None]]) -> dict[int, str]:
    """Set when Iterable accepted a change of mappings last (None: it stays). Returns the daily run of each.

    Rows are the mapping id, the day, the daily run if the mapping has none on that day yet, and the time (UTC seconds).
    """
    statement = parsed(_NOTE_DAYS.format(rows=_ROWS[db.dialect.name]))
    noted = await db.execute(statement, {"rows": orjson.dumps(rows).decode()})
    return {mapping_id: run_id for mapping_id, run_id in noted}  # noqa: C416  # rows, not pairs


async def of_days(db: AsyncConnection, days: Collection[str]) -> list[tuple[str, int]]:
    """Return (day, mapping id) of mappings with changes or a daily run on one of these days, by day."""
    is_active = or_(live_daily_stats.c.changes > 0, live_daily_stats.c.run_id.is_not(None))
    query = select(live_daily_stats.c.day, live_daily_stats.c.mapping_id).where(
        live_daily_stats.c.day.in_(days), is_active
    )
    rows = await db.execute(query.order_by(live_daily_stats.c.day, live_daily_stats.c.mapping_id))
    return [(day, mapping_id) for day, mapping_id in rows]


async def last_accepted(db: AsyncConnection, mapping_id: int) -> float | None:
    """Return when Iterable last accepted a change of a mapping."""
    query = (
        select(live_daily_stats.c.last_accepted_at)
        .where(live_daily_stats.c.mapping_id == mapping_id, live_daily_stats.c.last_accepted_at.is_not(None))
        .order_by(live_daily_stats.c.day.desc())
        .limit(1)
    )
    accepted_at: float | None = (await db.execute(query)).scalar_one_or_none()
    return accepted_at


async def unended(db: AsyncConnection, mapping_id: int | None = None) -> list[Run]:
    """Return the micro batches (of one mapping or of all) that are not merged into their daily run, oldest first."""
    query = select(runs_table).where(runs_table.c.is_live).order_by(runs_table.c.created_at)
    if mapping_id is not None:
        query = query.where(runs_table.c.mapping_id == mapping_id)
    return [Run.from_row(by_key(runs_table, row)) for row in (await db.execute(query)).mappings()]


async def lock(db: AsyncConnection, mapping_id: int) -> AudienceMapping | None:
    """Find a mapping and lock it against changes until the transaction ends.

    Other transactions may still add rows that refer to it. Otherwise, on PostgreSQL, an intake that holds inbox rows
    and waits for this lock could deadlock with the caller.
    """
    query = select(mappings_table).where(mappings_table.c.id == mapping_id).with_for_update(key_share=True)
    row = (await db.execute(query)).mappings().first()
    return None if row is None else mappings.from_row(row)


async def lock_of_run(db: AsyncConnection, run_id: str) -> AudienceMapping | None:
    """As `lock`, for the mapping of a run. Returns None if there is no such run."""
    mapping_id = select(runs_table.c.mapping_id).where(runs_table.c.id == run_id).scalar_subquery()
    query = select(mappings_table).where(mappings_table.c.id == mapping_id).with_for_update(key_share=True)
    row = (await db.execute(query)).mappings().first()
    return None if row is None else mappings.from_row(row)


async def add_to(db: AsyncConnection, run: Run, sum_id: str) -> None:
    """Merge a micro batch into its daily run: counters, batches and rejections. Then delete it."""
    numbers = {**run.counters.model_dump(), "requests": run.requests, "retries": run.retries}
    numbers |= {"throttled": run.throttled, "merged": run.merged}
    more = {name: runs_table.c[name] + number for name, number in numbers.items()}
    await runs.change(db, sum_id, finished_at=run.finished_at, is_log_due=runs.is_logged(), **more)
    for table in (batches, rejections_table):
        await db.execute(update(table).where(table.c.run_id == run.id).values(run_id=sum_id))
    await db.execute(delete(runs_table).where(runs_table.c.id == run.id))


async def status(db: AsyncConnection, mapping_id: int, now: float) -> LiveStatus:
    """Return the status of a live mapping.

    The counts are of the day of `now` (UTC seconds by the database's clock).
    """
    mapping = await mappings.by_id(db, mapping_id)
    assert mapping is not None
    day = await day_now(db, mapping_id, now)
    query = select(live_daily_stats.c.changes, live_daily_stats.c.run_id).where(
        live_daily_stats.c.mapping_id == mapping_id, live_daily_stats.c.day == day
    )
    changes, run_id = (await db.execute(query)).one_or_none() or (0, None)
    pending = await inbox.backlog(db, mapping_id)
    backlog, oldest, waiting = pending.size, pending.oldest, 0
    if mapping.bulk_removal_cursor is not None:  # and the members that are not in the inbox yet
        backlog += await ledger.size(db, mapping_id, after=mapping.bulk_removal_cursor)
    if mapping.status is not MappingStatus.ACTIVE:
        backlog, oldest, waiting = 0, None, pending.size
    elif mapping.removal_policy is RemovalPolicy.ASK:
        waiting = await inbox.removals_that_wait(db, mapping_id, mapping.removals_approved_until)
        backlog -= waiting
        oldest = await inbox.oldest(db, mapping_id, inbox.DeliveryFilter(False, mapping.removals_approved_until))
    daily_run = None if run_id is None else await runs.by_id(db, run_id)
    return LiveStatus(
        changes_today=changes,
        backlog=backlog,
        oldest_age_s=None if oldest is None else max(0.0, now - oldest),
        last_accepted_at=await last_accepted(db, mapping_id),
        added=daily_run.counters.added if daily_run else 0,
        updated=daily_run.counters.updated if daily_run else 0,
        removed=daily_run.counters.removed if daily_run else 0,
        rejected=daily_run.counters.rejected if daily_run else 0,
        rejected_by_reason=await rejections.by_reason(db, daily_run.id) if daily_run else {},
        waiting=waiting,
        run_id=daily_run.id if daily_run else None,
    )
