"""Workers: the processes that execute runs, and when each was last heard of."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import PROCESS_DIED, RunStatus
from core.store import clock, doubts
from core.store.tables import leases, lists, runs, workers

_DIED = "The process that was at work on it ended."


@dataclass(frozen=True, slots=True)
class Worker:
    """A process. `silent_for` is how long it has not been heard of, in seconds by the database's clock.

    `place` is where its lock file can be looked at, `lock_path` is that file, `heartbeat_at` the last heartbeat.
    """

    id: str
    place: str
    lock_path: str
    heartbeat_at: float
    silent_for: float


async def add(db: AsyncConnection, worker_id: str, place: str, lock_path: str) -> None:
    """Store a process that begins."""
    now = await clock.now(db)
    await db.execute(insert(workers).values(id=worker_id, host=place, lock_path=lock_path, heartbeat_at=now))


async def beat(db: AsyncConnection, worker_id: str) -> bool:
    """Record that a process is alive. Returns False if it is not on record: it was declared dead."""
    now = await clock.now(db)
    result = await db.execute(update(workers).where(workers.c.id == worker_id).values(heartbeat_at=now))
    return bool(result.rowcount)


async def by_id(db: AsyncConnection, worker_id: str) -> Worker | None:
    """Find a process."""
    found = await _all(db, workers.c.id == worker_id)
    return found[0] if found else None


async def everyone(db: AsyncConnection) -> list[Worker]:
    """Return all processes that have begun and not ended cleanly."""
    return await _all(db)


async def _all(db: AsyncConnection, *which: ColumnElement[bool]) -> list[Worker]:
    rows = (await db.execute(select(workers).where(*which))).all()
    now = await clock.now(db) if rows else 0.0
    return [Worker(row.id, row.host, row.lock_path, row.heartbeat_at, now - row.heartbeat_at) for row in rows]


async def remove(db: AsyncConnection, worker_id: str) -> None:
    """Forget a process that ends."""
    await db.execute(delete(workers).where(workers.c.id == worker_id))
    await free_abandoned(db)


async def declare_dead(db: AsyncConnection, worker: Worker, *, may_wake: bool) -> bool:
    """Forget a process that has ended. Returns False, with nothing changed, if it was heard of since.

    `may_wake`: it was only silent, so what it had claimed is in doubt from now on.
    """
    unheard = (workers.c.id == worker.id, workers.c.heartbeat_at == worker.heartbeat_at)
    if not (await db.execute(delete(workers).where(*unheard))).rowcount:
        return False
    if may_wake:
        await doubts.begin(db, runs.c.worker_id == worker.id)
    await free_abandoned(db)
    return True


async def note_waking(db: AsyncConnection, worker_id: str) -> None:
    """Record that a process has woken that was declared dead: what it had claimed is in doubt again."""
    await doubts.begin_again(db, worker_id)


async def any_abandoned(db: AsyncConnection) -> bool:
    """Return whether a process that is not on record holds a run or a list."""
    held = select(lists.c.list_id).where(_is_not_on_record(lists.c.locked_by_worker_id))
    query = held.union_all(select(runs.c.list_id).where(_is_not_on_record(runs.c.worker_id), _is_active())).limit(1)
    return (await db.execute(query)).first() is not None


async def free_abandoned(db: AsyncConnection) -> None:
    """Give back what processes hold that are not on record: their lists, and their runs, which any process may resume.

    A process puts itself on record before it takes anything, and is off it only when it has ended.
    """
    await db.execute(
        update(runs)
        .where(_is_not_on_record(runs.c.worker_id), _is_active())
        .values(status=RunStatus.INTERRUPTED.value, worker_id=None, error_code=PROCESS_DIED, error=_DIED)
    )
    await db.execute(
        update(lists)
        .where(_is_not_on_record(lists.c.locked_by_worker_id))
        .values(locked_by_run_id=None, locked_by_worker_id=None)
    )
    await db.execute(delete(leases).where(_is_not_on_record(leases.c.worker)))


def _is_not_on_record(worker_id: ColumnElement[str]) -> ColumnElement[bool]:
    return worker_id.is_not(None) & ~select(workers.c.id).where(workers.c.id == worker_id).exists()


def _is_active() -> ColumnElement[bool]:
    return runs.c.status.in_([status.value for status in RunStatus if status.is_active])
