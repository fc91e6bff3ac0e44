"""The queue of runs on PostgreSQL: procrastinate's jobs, which triggers of the table of runs make and delete.

Migration 0037 has the triggers. A job is claimed in our own transaction, together with its run. So a run is never
claimed without its job, and no job is lost with a connection. A notification wakes the workers of all processes.
"""

import asyncio
import logging
from typing import Any

import psycopg
from procrastinate.connector import BaseAsyncConnector
from procrastinate.jobs import Status
from procrastinate.manager import JobManager
from procrastinate.sql import queries
from psycopg.sql import SQL, Identifier
from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import RunStatus
from core.store import postgresql
from core.store.activity import CHANNEL, Activity
from core.store.tables import runs

# How long after a broken connection another one is opened, in seconds.
LISTEN_AGAIN_S = 5.0
# The payload of procrastinate's notification of a job, without its id.
QUEUED = '{"type": "job_inserted", "job_id": 0}'

logger = logging.getLogger(__name__)

_ACTIVE = [status.value for status in RunStatus if status.is_active]
# Of the jobs with a lock, one is being executed (procrastinate's schema).
_LOCK_INDEX = "procrastinate_jobs_lock_idx_v1"
_CLAIM = (
    update(runs)
    .where(runs.c.id == bindparam("id_of_run"), runs.c.worker_id.is_(None), runs.c.status.in_(_ACTIVE))
    .values(worker_id=bindparam("its_worker"))
)

# The channel on which procrastinate's workers, and ours, are notified of new jobs.
_CHANNEL = "procrastinate_any_queue_v1"
# Another run of the list would only wait for it.
_MAKE_ROOM = text(
    """
    DELETE FROM procrastinate_jobs job
    WHERE args ->> 'run_id' = :run_id AND status = 'doing' AND NOT EXISTS (
        SELECT FROM procrastinate_jobs other WHERE other.args ->> 'list' = job.args ->> 'list' AND other.status = 'todo'
    )
    """
)


class _TransactionConnector(BaseAsyncConnector):
    """Executes procrastinate's statements in a transaction of ours."""

    def __init__(self, db: AsyncConnection) -> None:
        self._db = db

    async def execute_query_async(self, query: str, **arguments: Any) -> None:
        """Execute a statement. Raises DBAPIError."""
        await self._db.exec_driver_sql(query, arguments)

    async def execute_query_one_async(self, query: str, **arguments: Any) -> dict[str, Any]:
        """Execute a statement, and return its only row. Raises DBAPIError."""
        return dict((await self._db.exec_driver_sql(query, arguments)).mappings().one())


class _ListeningConnector(BaseAsyncConnector):
    """Listens on a connection of its own, for jobs and for the activity of other processes."""

    def __init__(self, address: str, activity: Activity) -> None:
        self._address = address
        self._activity = activity

    async def listen_notify(self, on_notification: Any, channels: Any) -> None:
        """Call `on_notification` for each notification, until cancelled. Raises psycopg.Error.

        Returns at once behind a pooler, whose connections must not be left listening. A pooler answers for the server
        when a connection is opened, and gives another process id (pgbouncer.org/faq.html, "Cancel").
        """
        arguments = postgresql.connection_arguments(self._address)
        async with await psycopg.AsyncConnection.connect(autocommit=True, **arguments) as connection:
            (server_process,) = await (await connection.execute("SELECT pg_backend_pid()")).fetchone() or (None,)
            if server_process != connection.info.backend_pid:
                return
            for channel in (*channels, CHANNEL):
                await connection.execute(SQL(queries["listen_queue"]).format(channel_name=Identifier(channel)))
            await on_notification(channel="", payload=QUEUED)  # what was queued meanwhile
            self._activity.note()
            self._activity.is_told = True
            try:
                async for each in connection.notifies():
                    if each.payload != self._activity.id:
                        self._activity.note()
                    if each.channel != CHANNEL:
                        await on_notification(channel=each.channel, payload=each.payload)
            finally:
                self._activity.is_told = False


async def claim(db: AsyncConnection, worker: str, room: int) -> list[str]:
    """Claim up to `room` jobs and their runs for a worker. Returns the ids of the runs."""
    jobs = JobManager(_TransactionConnector(db))
    claimed: list[str] = []
    while len(claimed) < room:
        # procrastinate knows none of our workers: core/worker_registry.py says which are alive
        job = await jobs.fetch_job(queues=None, worker_id=None)  # type: ignore[arg-type]
        if job is None:
            break
        run_id = str(job.task_kwargs["run_id"])
        if (await db.execute(_CLAIM, {"id_of_run": run_id, "its_worker": worker})).rowcount:
            claimed.append(run_id)
        else:  # the run was changed while its job was being claimed
            await jobs.finish_job(job, Status.SUCCEEDED, delete_job=True)
    return claimed


async def make_room(db: AsyncConnection, run_id: str) -> None:
    """Delete the job of a run that is being executed, so that the next job of its lock can be claimed.

    The workers of all processes are notified then. Nothing is deleted if another run of the same list waits, or if the
    run is queued again.
    """
    if (await db.execute(_MAKE_ROOM, {"run_id": run_id})).rowcount:
        await db.execute(select(func.pg_notify(_CHANNEL, QUEUED)))


def is_lock_taken(error: IntegrityError) -> bool:
    """Return whether another worker has claimed a job of the same lock at the same time.

    procrastinate does not see that job before its transaction ends. Then its index of locks refuses the second claim.
    """
    return _LOCK_INDEX in str(error.orig)


async def listen(address: str, woken: asyncio.Event, activity: Activity) -> None:
    """Set an event whenever a job may have been queued, and note the activity of other processes, until cancelled.

    Connects again if the connection breaks. Returns at once if a pooler is in between.
    """

    async def wake(**_notification: object) -> None:
        woken.set()

    jobs = JobManager(_ListeningConnector(address, activity))
    while True:
        try:
            await jobs.listen_for_jobs(on_notification=wake)
        except (psycopg.Error, OSError) as error:  # the worker polls meanwhile
            logger.info("could not listen for queued runs (%s), trying again", type(error).__name__)
            await asyncio.sleep(LISTEN_AGAIN_S)
        else:
            return
