"""The lists of live mappings whose size in Iterable is due to be read: the daily runs hold the sizes."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.connections import Connection, from_row
from core.store.tables import connections, live_daily_stats, mappings, runs


@dataclass(frozen=True, slots=True)
class DueSize:
    """A daily run whose list's size is due, and when it was read before (UTC seconds; None: never)."""

    connection: Connection
    mapping_id: int
    day: str
    run_id: str
    list_id: int
    read_at: float | None


async def due(db: AsyncConnection, *, begun_before: float, read_before: float, limit: int) -> list[DueSize]:
    """Return the newest daily runs whose lists have changed since their sizes were read, the longest waiting first.

    A first size is due if the day's run began before `begun_before`, a later one if the last was read before
    `read_before` (UTC seconds). Connections whose key Iterable refuses are left out.
    """
    newest = (
        select(live_daily_stats.c.mapping_id, func.max(live_daily_stats.c.day).label("day"))
        .where(live_daily_stats.c.run_id.is_not(None))
        .group_by(live_daily_stats.c.mapping_id)
        .subquery()
    )
    read_at = live_daily_stats.c.size_read_at
    is_first = and_(read_at.is_(None), runs.c.created_at < begun_before)
    query = (
        select(connections, live_daily_stats.c.mapping_id.label("of_mapping"), newest.c.day, runs.c.id.label("run_id"))
        .add_columns(runs.c.list_id, read_at)
        .join_from(newest, live_daily_stats, _is_day(newest.c.mapping_id, newest.c.day))
        .join(runs, runs.c.id == live_daily_stats.c.run_id)
        .join(mappings, and_(mappings.c.id == newest.c.mapping_id, mappings.c.list_id == runs.c.list_id))
        .join(connections, connections.c.id == mappings.c.connection_id)
        .where(mappings.c.is_live, connections.c.key_rejected_at.is_(None))
        .where(or_(is_first, and_(read_at < read_before, runs.c.finished_at > read_at)))
        .order_by(func.coalesce(read_at, 0.0))
        .limit(limit)
    )
    return [
        DueSize(from_row(row), row["of_mapping"], row["day"], row["run_id"], row["list_id"], row["size_read_at"])
        for row in (await db.execute(query)).mappings()
    ]


async def claim(db: AsyncConnection, size: DueSize, now: float) -> bool:
    """Record when a size is read. Returns False if another process did so meanwhile."""
    is_same = func.coalesce(live_daily_stats.c.size_read_at, 0.0) == (size.read_at or 0.0)
    query = update(live_daily_stats).where(_is_day(size.mapping_id, size.day), is_same).values(size_read_at=now)
    return bool((await db.execute(query)).rowcount)


def _is_day(mapping_id: Any, day: Any) -> ColumnElement[bool]:
    return and_(live_daily_stats.c.mapping_id == mapping_id, live_daily_stats.c.day == day)
