"""Workers: the processes that execute runs, and the last heartbeat of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import PROCESS_DIED, RunStatus
from core.store import clock, doubts
from core.store.tables import leases, lists, runs, workers

_DIED = "The process that executed it has ended."


@dataclass(frozen=True, slots=True)
class Worker:
    """A registered process. `silent_for` is the age of its last heartbeat, in seconds by the database's clock.

    `place` is the place from which its lock file can be examined, `lock_path` the path of that file, and
    `heartbeat_at` the time of the last heartbeat.
    """

    id: str
    place: str
    lock_path: str
    heartbeat_at: float
    silent_for: float


async def add(db: AsyncConnection, worker_id: str, place: str, lock_path: str) -> None:
    """Register a process."""
    now = await clock.now(db)
    await db.execute(insert(workers).values(id=worker_id, host=place, lock_path=lock_path, heartbeat_at=now))


async def beat(db: AsyncConnection, worker_id: str) -> bool:
    """Record a heartbeat. Returns False if the process is not registered: it was declared dead."""
    now = clock.expression(db)
    result = await db.execute(update(workers).where(workers.c.id == worker_id).values(heartbeat_at=now))
    return bool(result.rowcount)


async def by_id(db: AsyncConnection, worker_id: str) -> Worker | None:
    """Find a process."""
    matches = await _all(db, workers.c.id == worker_id)
    return matches[0] if matches else None


async def everyone(db: AsyncConnection) -> list[Worker]:
    """Return all processes that have not ended cleanly."""
    return await _all(db)


async def survey(db: AsyncConnection) -> tuple[list[Worker], bool]:
    """Return all processes that have not ended cleanly, and whether one that is not registered holds a run or a list.

    That is also false if no process is registered.
    """
    held = select(lists.c.list_id).where(_is_unregistered(lists.c.locked_by_worker_id)).exists()
    executed = select(runs.c.list_id).where(_is_unregistered(runs.c.worker_id), _is_active()).exists()
    query = select(workers, clock.expression(db).label("now"), or_(held, executed).label("is_abandoned"))
    rows = (await db.execute(query)).all()
    return [_worker(row) for row in rows], any(row.is_abandoned for row in rows)


async def _all(db: AsyncConnection, *conditions: ColumnElement[bool]) -> list[Worker]:
    query = select(workers, clock.expression(db).label("now")).where(*conditions)
    return [_worker(row) for row in await db.execute(query)]


def _worker(row: Row[Any]) -> Worker:
    return Worker(row.id, row.host, row.lock_path, row.heartbeat_at, float(row.now) - row.heartbeat_at)


async def remove(db: AsyncConnection, worker_id: str) -> None:
    """Delete a process that is ending, and release what it still holds."""
    await db.execute(delete(workers).where(workers.c.id == worker_id))
    await _release(db, lambda holder: holder == worker_id, doubts.ENDED_S)


async def declare_dead(db: AsyncConnection, worker: Worker, *, may_wake: bool) -> bool:
    """Delete a process that has ended, and release what it holds. Returns False if it sent a heartbeat since.

    The batches that it had claimed are in doubt from now on: for longer with `may_wake`, if it was only silent.
    """
    unchanged = (workers.c.id == worker.id, workers.c.heartbeat_at == worker.heartbeat_at)
    if not (await db.execute(delete(workers).where(*unchanged))).rowcount:
        return False
    seconds = doubts.DOUBT_S if may_wake else doubts.ENDED_S
    await _release(db, lambda holder: holder == worker.id, seconds)
    return True


async def note_waking(db: AsyncConnection, worker_id: str) -> None:
    """Record that a process woke up after it was declared dead: the batches that it had claimed are in doubt again."""
    await doubts.begin_again(db, worker_id)


async def end_stalled_transactions(db: AsyncConnection, seconds: float) -> None:
    """End the sessions of PostgreSQL in which nothing was done for so long in the middle of a transaction.

    A process that was paused there keeps rows locked, so no other could free what it holds. It finds its session ended
    when it wakes. If it was paused between the messages of a statement, or while it read the answer, its session counts
    as active, and waits for the client. (Each statement of a pipeline sets the time again.) A role may end its own
    sessions (pg_terminate_backend). SQLite has no such means.
    """
    if db.dialect.name == "postgresql":
        await db.execute(_END_STALLED, {"seconds": seconds})


_END_STALLED = text("""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
AND (state LIKE 'idle in transaction%' OR (state = 'active' AND wait_event_type = 'Client' AND backend_xid IS NOT NULL))
AND state_change < clock_timestamp() - make_interval(secs => :seconds)
""")


async def free_abandoned(db: AsyncConnection) -> None:
    """Release what unregistered processes hold, for any process to resume.

    A process registers before it takes a run or a list. If it is not on record although it did not end (the database
    lost its last commits in a fail-over, or was restored), it may send until its lease is over.
    """
    await _release(db, _is_unregistered, doubts.DOUBT_S)


async def _release(
    db: AsyncConnection, is_held: Callable[[ColumnElement[str]], ColumnElement[bool]], doubt_s: float
) -> None:
    """Interrupt the runs and unlock the lists of some processes. Their unanswered batches are in doubt for `doubt_s`.

    `is_held` makes the condition that a column has the id of one of the processes.
    """
    executed = (is_held(runs.c.worker_id), _is_active())
    await doubts.begin(db, and_(*executed), doubt_s)
    await db.execute(
        update(runs)
        .where(*executed)
        .values(status=RunStatus.INTERRUPTED.value, worker_id=None, error_code=PROCESS_DIED, error=_DIED)
    )
    await db.execute(
        update(lists)
        .where(is_held(lists.c.locked_by_worker_id))
        .values(locked_by_run_id=None, locked_by_worker_id=None)
    )
    await db.execute(delete(leases).where(is_held(leases.c.worker)))


def _is_unregistered(worker_id: ColumnElement[str]) -> ColumnElement[bool]:
    # of its own name, because a query around it may read the same table
    registered = workers.alias()
    return worker_id.is_not(None) & ~select(registered.c.id).where(registered.c.id == worker_id).exists()


def _is_active() -> ColumnElement[bool]:
    return runs.c.status.in_([status.value for status in RunStatus if status.is_active])
