"""Live mappings: which there are, what each did today, and how it stands."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import inbox, mappings, rejections, runs
from core.store.mappings import Mapping, Removals, State
from core.store.tables import live_days
from core.store.tables import mappings as mappings_table
from core.store.tables import runs as runs_table

_COUNT = """
INSERT INTO live_days (mapping_id, day, changes, ignored) VALUES (:mapping_id, :day, :changes, :ignored)
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


async def everyone(db: AsyncConnection) -> list[Mapping]:
    """Return all live mappings, oldest first."""
    query = select(mappings_table).where(mappings_table.c.live).order_by(mappings_table.c.id)
    return [mappings.from_row(row) for row in (await db.execute(query)).mappings()]


async def of_audiences(db: AsyncConnection, account_ids: Collection[str], ids: Collection[str]) -> list[Mapping]:
    """Return the live mappings of these accounts that are of these audiences."""
    query = select(mappings_table).where(
        mappings_table.c.account_id.in_(account_ids), mappings_table.c.audience_id.in_(ids)
    )
    return [mappings.from_row(row) for row in (await db.execute(query)).mappings()]


async def of_lists_without_source(db: AsyncConnection, connection_id: int, audience_id: str) -> list[Mapping]:
    """Return the mappings of a connection and an audience that no Firehose feeds yet."""
    query = select(mappings_table).where(
        mappings_table.c.connection_id == connection_id,
        mappings_table.c.audience_id == audience_id,
        mappings_table.c.account_id.is_(None),
    )
    return [mappings.from_row(row) for row in (await db.execute(query.order_by(mappings_table.c.id))).mappings()]


async def count(db: AsyncConnection, mapping_id: int, day: str, *, changes: int = 0, ignored: int = 0) -> None:
    """Add to what came for a mapping on a day."""
    values = {"mapping_id": mapping_id, "day": day, "changes": changes, "ignored": ignored}
    await db.execute(text(_COUNT), values)


async def run_of_day(db: AsyncConnection, mapping_id: int, day: str) -> str | None:
    """Return the run that holds the sum of a mapping's day."""
    query = select(live_days.c.run_id).where(live_days.c.mapping_id == mapping_id, live_days.c.day == day)
    run_id: str | None = (await db.execute(query)).scalar_one_or_none()
    return run_id


async def set_day(db: AsyncConnection, mapping_id: int, day: str, **values: object) -> None:
    """Set columns of a mapping's day."""
    result = await db.execute(
        update(live_days).where(live_days.c.mapping_id == mapping_id, live_days.c.day == day).values(**values)
    )
    if not result.rowcount:
        await db.execute(insert(live_days).values(mapping_id=mapping_id, day=day, **values))


async def last_accepted(db: AsyncConnection, mapping_id: int) -> float | None:
    """Return when Iterable took a change of a mapping last."""
    query = (
        select(live_days.c.last_accepted_at)
        .where(live_days.c.mapping_id == mapping_id, live_days.c.last_accepted_at.is_not(None))
        .order_by(live_days.c.day.desc())
        .limit(1)
    )
    found: float | None = (await db.execute(query)).scalar_one_or_none()
    return found


async def unended(db: AsyncConnection) -> list[str]:
    """Return the ids of live runs that are not part of a day's sum yet, oldest first."""
    sums = select(live_days.c.run_id).where(live_days.c.run_id.is_not(None))
    query = select(runs_table.c.id).where(runs_table.c.live, runs_table.c.id.not_in(sums))
    return list((await db.execute(query.order_by(runs_table.c.created_at))).scalars())


async def status(db: AsyncConnection, mapping_id: int, now: float) -> LiveStatus:
    """Return how a live mapping stands."""
    mapping = await mappings.by_id(db, mapping_id)
    assert mapping is not None
    day = day_of(now)
    query = select(live_days.c.changes, live_days.c.run_id).where(
        live_days.c.mapping_id == mapping_id, live_days.c.day == day
    )
    changes, run_id = (await db.execute(query)).one_or_none() or (0, None)
    all_of_it = await inbox.backlog(db, mapping_id)
    backlog, oldest, waiting = all_of_it.size, all_of_it.oldest, 0
    if mapping.state is not State.ACTIVE:
        backlog, oldest, waiting = 0, None, all_of_it.size
    elif mapping.removals is Removals.ASK:
        waiting = await inbox.removals_that_wait(db, mapping_id, mapping.removals_until)
        backlog -= waiting
        oldest = await inbox.oldest(db, mapping_id, removals=False, removals_until=mapping.removals_until)
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
