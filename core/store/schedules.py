"""Schedules: when mappings are synced without a person."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypedDict, Unpack

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import SCHEDULE_PREFIX
from core.store import clock
from core.store.rows import by_key, plain
from core.store.tables import schedules


class Trigger(StrEnum):
    """What fires a schedule."""

    CRON = "cron"
    """A cron expression."""
    NEW_FILE = "new_file"
    """A new file in the mapping's source."""
    AFTER = "after"
    """A run of another mapping that succeeded."""


class Missed(StrEnum):
    """What to do about times at which no process ran."""

    ONCE = "once"
    """Fire once for all of them."""
    SKIP = "skip"
    """Wait for the next time."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as stored. `quiet_from` and `quiet_to` are times of day (HH:MM) in `time_zone`, or both None."""

    id: int
    connection_id: int
    mapping_id: int
    name: str
    trigger: Trigger
    cron: str | None
    time_zone: str
    after_mapping_id: int | None
    missed: Missed
    quiet_from: str | None
    quiet_to: str | None
    next_due_at: float | None
    last_fired_at: float | None
    is_paused: bool
    created_by: str
    created_at: float
    managed: str | None = None

    @property
    def actor(self) -> str:
        """The name under which it acts in the audit log."""
        return f"{SCHEDULE_PREFIX}{self.name}"


class ScheduleTimes(TypedDict):
    """The columns that say when a schedule fires."""

    trigger: Trigger
    cron: str | None
    time_zone: str
    after_mapping_id: int | None
    missed: Missed
    quiet_from: str | None
    quiet_to: str | None
    next_due_at: float | None


class NewSchedule(ScheduleTimes):
    """The columns of a new schedule."""

    connection_id: int
    mapping_id: int
    name: str
    created_by: str


async def add(db: AsyncConnection, **values: Unpack[NewSchedule]) -> int:
    """Store a new schedule, and return its id."""
    query = insert(schedules).values(**plain(values), created_at=await clock.now(db)).returning(schedules.c.id)
    return int((await db.execute(query)).scalar_one())


async def change(db: AsyncConnection, schedule_id: int, **values: Unpack[ScheduleTimes]) -> None:
    """Replace when a schedule fires."""
    await db.execute(update(schedules).where(schedules.c.id == schedule_id).values(**plain(values)))


async def by_id(db: AsyncConnection, schedule_id: int) -> Schedule | None:
    """Find a schedule by its id."""
    row = (await db.execute(select(schedules).where(schedules.c.id == schedule_id))).mappings().first()
    return None if row is None else _from_row(row)


async def named(db: AsyncConnection, connection_id: int, name: str) -> Schedule | None:
    """Find a schedule of a connection by its name."""
    query = select(schedules).where(schedules.c.connection_id == connection_id, schedules.c.name == name)
    row = (await db.execute(query)).mappings().first()
    return None if row is None else _from_row(row)


async def of_connections(db: AsyncConnection, connection_ids: Collection[int]) -> list[Schedule]:
    """Return the schedules of these connections, oldest first."""
    query = select(schedules).where(schedules.c.connection_id.in_(list(connection_ids))).order_by(schedules.c.id)
    return [_from_row(row) for row in (await db.execute(query)).mappings()]


async def of_mapping(db: AsyncConnection, mapping_id: int) -> list[Schedule]:
    """Return the schedules of a mapping, oldest first."""
    query = select(schedules).where(schedules.c.mapping_id == mapping_id).order_by(schedules.c.id)
    return [_from_row(row) for row in (await db.execute(query)).mappings()]


async def everyone(db: AsyncConnection) -> list[Schedule]:
    """Return all schedules, oldest first."""
    return [_from_row(row) for row in (await db.execute(select(schedules).order_by(schedules.c.id))).mappings()]


async def due(db: AsyncConnection, now: float) -> list[Schedule]:
    """Return the schedules that are due, the longest overdue first."""
    is_due = (schedules.c.next_due_at <= now, ~schedules.c.is_paused)
    rows = (await db.execute(select(schedules).where(*is_due).order_by(schedules.c.next_due_at))).mappings()
    return [_from_row(row) for row in rows]


async def claim(db: AsyncConnection, schedule: Schedule, next_due_at: float | None, *, fired_at: float | None) -> bool:
    """Set the next time of a due schedule. Returns False if another process did, or the schedule was changed.

    `fired_at` is when it fires (None: it does not fire this time).
    """
    values = {"next_due_at": next_due_at} | ({} if fired_at is None else {"last_fired_at": fired_at})
    unchanged = (schedules.c.next_due_at == schedule.next_due_at, ~schedules.c.is_paused)
    result = await db.execute(update(schedules).where(schedules.c.id == schedule.id, *unchanged).values(**values))
    return bool(result.rowcount)


# Built once, because each run executes it.
_AFTER_MAPPING = (
    update(schedules)
    .where(schedules.c.after_mapping_id == bindparam("after"), ~schedules.c.is_paused)
    .values(next_due_at=bindparam("at"))
)


async def mapping_succeeded(db: AsyncConnection, mapping_id: int) -> None:
    """Make the schedules due that wait for a mapping to succeed."""
    now = await clock.now(db)
    await db.execute(_AFTER_MAPPING, {"after": mapping_id, "at": now})


async def set_paused(db: AsyncConnection, schedule_id: int, next_due_at: float | None, *, is_paused: bool) -> bool:
    """Pause or resume a schedule. Returns False if it was so already."""
    was = ~schedules.c.is_paused if is_paused else schedules.c.is_paused
    query = update(schedules).where(schedules.c.id == schedule_id, was)
    return bool((await db.execute(query.values(is_paused=is_paused, next_due_at=next_due_at))).rowcount)


async def move(db: AsyncConnection, former_id: int, mapping_id: int) -> None:
    """Give the schedules of a mapping, and those that wait for it, to another one."""
    for column in (schedules.c.mapping_id, schedules.c.after_mapping_id):
        await db.execute(update(schedules).where(column == former_id).values({column: mapping_id}))


async def remove(db: AsyncConnection, schedule_id: int) -> None:
    """Delete a schedule."""
    await db.execute(delete(schedules).where(schedules.c.id == schedule_id))


def _from_row(row: Any) -> Schedule:
    values = by_key(schedules, row)
    return Schedule(**{**values, "trigger": Trigger(values["trigger"]), "missed": Missed(values["missed"])})
