"""The run log: where ended runs are written as Parquet files, and which runs are due."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict, Unpack

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import RunStatus
from core.store import clock
from core.store.live_mappings import day_of, time_zones
from core.store.rows import by_key, plain
from core.store.tables import live_daily_stats, run_log, runs

# The table has one row.
_ID = 1
#: The statuses in which a run is written. A failed run that is retried is written again when it ends.
WRITTEN = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.PLANNED, RunStatus.EXPIRED)


class Identifiers(StrEnum):
    """How the run log names people."""

    RAW = "raw"
    HASHED = "hashed"
    """SHA-256 of the customer's salt and the identifier."""
    NONE = "none"
    """Not at all."""


@dataclass(frozen=True, slots=True)
class RunLog:
    """The run log as stored. `sealed` has the full address and the salt, encrypted (core/run_log/configuration.py).

    `next_at` is when a process writes next; `written_at` when it has written last. `failures` counts how often in a
    row that failed since `failing_since`, and `error` is the last sentence about it.
    """

    address: str
    sealed: bytes
    identifiers: Identifiers
    set_by: str
    set_at: float
    next_at: float
    written_at: float | None
    failures: int
    failing_since: float | None
    error: str | None


class RunLogUpdate(TypedDict, total=False):
    """Columns of the run log that may be set."""

    next_at: float
    written_at: float | None
    failures: int
    failing_since: float | None
    error: str | None


async def get(db: AsyncConnection) -> RunLog | None:
    """Return the run log, or None if it is off."""
    row = (await db.execute(select(run_log))).mappings().first()
    if row is None:
        return None
    values = by_key(run_log, row)
    del values["id"]
    return RunLog(**{**values, "identifiers": Identifiers(values["identifiers"])})


async def put(
    db: AsyncConnection,
    *,
    address: str,
    sealed: bytes,
    identifiers: Identifiers,
    set_by: str,
) -> None:
    """Turn the run log on, or change it. Runs that wait for the former place are written to this one."""
    now = await clock.now(db)
    values = {"address": address, "sealed": sealed, "identifiers": identifiers.value, "set_by": set_by}
    await db.execute(delete(run_log))
    await db.execute(insert(run_log).values(id=_ID, set_at=now, next_at=now, failures=0, **values))


async def remove(db: AsyncConnection) -> None:
    """Turn the run log off. Runs that wait are not written."""
    await db.execute(delete(run_log))
    await db.execute(update(runs).where(runs.c.is_log_due).values(is_log_due=False))


async def change(db: AsyncConnection, **values: Unpack[RunLogUpdate]) -> None:
    """Set columns of the run log, if it is on."""
    await db.execute(update(run_log).values(**plain(values)))


async def claim(db: AsyncConnection, known: RunLog, until: float) -> bool:
    """Let no other process write until that time. Returns False if another process was faster."""
    query = update(run_log).where(run_log.c.next_at == known.next_at, run_log.c.address == known.address)
    return bool((await db.execute(query.values(next_at=until))).rowcount)


async def _is_due(db: AsyncConnection, now: float) -> ColumnElement[bool]:
    """Return the condition that a run waits to be written. The run of a live audience waits until its day is over."""
    zones = await time_zones(db)
    others = [(runs.c.mapping_id == mapping_id, literal(day_of(now, zone))) for mapping_id, zone in zones.items()]
    today = case(*others, else_=literal(day_of(now))) if others else literal(day_of(now))
    of_today = (live_daily_stats.c.run_id == runs.c.id, live_daily_stats.c.day >= today)
    is_open = select(live_daily_stats.c.run_id).where(live_daily_stats.c.mapping_id == runs.c.mapping_id, *of_today)
    ended = runs.c.status.in_([status.value for status in WRITTEN])
    return and_(runs.c.is_log_due, ended, ~runs.c.is_live, ~is_open.exists())


async def due(db: AsyncConnection, now: float, limit: int) -> list[str]:
    """Return the ids of runs that wait to be written, the first that ended first."""
    query = select(runs.c.id).where(await _is_due(db, now)).order_by(runs.c.finished_at, runs.c.id).limit(limit)
    return list((await db.execute(query)).scalars())


async def due_count(db: AsyncConnection, now: float) -> int:
    """Return how many runs wait to be written."""
    return int((await db.execute(select(func.count()).select_from(runs).where(await _is_due(db, now)))).scalar_one())


async def mark_written(db: AsyncConnection, run_id: str, finished_at: float | None) -> None:
    """Record that a run was written, unless it has ended once more since `finished_at`."""
    query = update(runs).where(runs.c.id == run_id, runs.c.finished_at == finished_at)
    await db.execute(query.values(is_log_due=False))


def next_due(now: ColumnElement[float]) -> Select[tuple[float]]:
    """Return the statement that yields a row if the run log is due, and runs may wait for it."""
    waits = select(runs.c.id).where(runs.c.is_log_due).exists()
    return select(run_log.c.next_at).where(run_log.c.next_at <= now, waits)
