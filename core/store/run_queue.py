"""The queue of runs, from which workers claim what they execute: one way on PostgreSQL, another on SQLite.

Of one Iterable project, all processes together execute up to four runs at once, because they share its rate limit. A
run that has few requests left makes room for the next one before it has ended (core/delivery/ending_runs.py).
"""

import asyncio
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import run_turns, runs
from core.store.database import Database

# How often a worker tries to claim jobs if another one claims a job of the same lock at the same time. The next poll
# tries again.
CLAIM_TRIES = 3


async def claim(database: Database, worker: str, room: int, ending: Set[str] = frozenset()) -> list[str]:
    """Claim up to `room` queued runs for a worker, in turn. Returns their ids.

    On SQLite, `ending` are the ids of the worker's runs that have made room for others.
    """
    if room <= 0:
        return []
    if not database.is_sqlite:
        return await _claim_jobs(database, worker, room)
    async with database.read() as db:
        next_runs = run_turns.next_in_turn(await run_turns.active(db), room, ending)
    if not next_runs:
        return []
    async with database.write() as db:
        return [run.id for run in next_runs if await runs.claim(db, run.id, run.attempt, worker)]


async def make_room(db: AsyncConnection, run_id: str) -> None:
    """Let another run of a run's project be claimed before this one has ended. For PostgreSQL."""
    from core.store import job_queue

    await job_queue.make_room(db, run_id)


async def _claim_jobs(database: Database, worker: str, room: int) -> list[str]:
    from core.store import job_queue  # SQLite does not need procrastinate

    for _ in range(CLAIM_TRIES):
        try:
            async with database.write(is_news=False) as db:
                claimed = await job_queue.claim(db, worker, room)
            if claimed:
                database.activity.note_own()
            return claimed
        except IntegrityError as error:
            if not job_queue.is_lock_taken(error):
                raise
    return []


@asynccontextmanager
async def listening(database: Database, address: str, woken: asyncio.Event) -> AsyncIterator[None]:
    """Set an event whenever any process queues a run, and note what others commit, for the length of the block.

    SQLite can't notify.

    `address` is that of the database. Behind a pooler there are no notifications, either.
    """
    if database.is_sqlite:
        yield
        return
    from core.store import job_queue

    task = asyncio.create_task(job_queue.listen(address, woken, database.activity), name="listener")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
