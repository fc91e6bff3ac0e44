"""Workers: the processes that execute runs, and when each was last heard of."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import PROCESS_DIED, RunStatus
from core.store.tables import lists, runs, workers

_DIED = "The process that was at work on it ended."


@dataclass(frozen=True, slots=True)
class Worker:
    """A process. `silent_for` is how long it has not been heard of, in seconds by the database's clock."""

    id: str
    host: str
    lock_path: str
    silent_for: float


async def add(db: AsyncConnection, worker_id: str, host: str, lock_path: str) -> None:
    """Store a process that begins."""
    now = await _now(db)
    await db.execute(insert(workers).values(id=worker_id, host=host, lock_path=lock_path, heartbeat_at=now))


async def beat(db: AsyncConnection, worker_id: str) -> None:
    """Record that a process is alive."""
    await db.execute(update(workers).where(workers.c.id == worker_id).values(heartbeat_at=await _now(db)))


async def by_id(db: AsyncConnection, worker_id: str) -> Worker | None:
    """Find a process."""
    now = await _now(db)
    query = select(workers).where(workers.c.id == worker_id)
    row = (await db.execute(query)).first()
    return None if row is None else Worker(row.id, row.host, row.lock_path, now - row.heartbeat_at)


async def everyone(db: AsyncConnection) -> list[Worker]:
    """Return all processes that have begun and not ended cleanly."""
    now = await _now(db)
    rows = (await db.execute(select(workers))).all()
    return [Worker(row.id, row.host, row.lock_path, now - row.heartbeat_at) for row in rows]


async def remove_dead(db: AsyncConnection, worker_id: str) -> None:
    """Forget a process: give back its lists, and leave its runs to whoever takes them up."""
    await db.execute(
        update(lists)
        .where(lists.c.locked_by_worker_id == worker_id)
        .values(locked_by_run_id=None, locked_by_worker_id=None)
    )
    active = [status.value for status in RunStatus if status.is_active]
    await db.execute(
        update(runs)
        .where(runs.c.worker_id == worker_id, runs.c.status.in_(active))
        .values(status=RunStatus.INTERRUPTED.value, worker_id=None, error_code=PROCESS_DIED, error=_DIED)
    )
    await db.execute(delete(workers).where(workers.c.id == worker_id))


async def _now(db: AsyncConnection) -> float:
    # Machines may disagree about the time: they share the database's.
    clock = {
        "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
        "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    }
    return float((await db.execute(text(clock[db.dialect.name]))).scalar_one())
