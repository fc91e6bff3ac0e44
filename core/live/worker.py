"""The worker of live mappings: delivers pending changes, resumes orphaned runs, and runs maintenance."""

import asyncio
import contextlib
import logging
import time
from functools import partial

from sqlalchemy.exc import DBAPIError

from core import alerting
from core.engine import Engine
from core.errors import SyncError
from core.iterable.errors import WHOLE_CONNECTION_CODES
from core.live import micro_batch
from core.live.bulk_removal import run_bulk_removal
from core.live.maintenance import run_maintenance
from core.models.run import Run, RunStatus
from core.runs import executor
from core.store import clock, connections, inbox, live_mappings, runs
from core.store.mappings import AudienceMapping, MappingStatus

logger = logging.getLogger(__name__)

# The intervals at which a worker polls for pending changes and runs maintenance, in seconds.
LOOK_EVERY_S = 0.25
TEND_EVERY_S = 5.0
# A run starts before the gathering time is over if this many members are pending.
ENOUGH_MEMBERS = 1_000
# How many mappings a worker delivers concurrently.
MOST_AT_ONCE = 4
# The wait before a failed mapping is retried, in seconds: doubled after each failure, up to the second value.
RETRY_S, LONGEST_RETRY_S = 5.0, 300.0


async def work(engine: Engine) -> None:
    """Deliver live changes until the engine is stopping. Returns when all deliveries have stopped."""
    await _Worker(engine).work()


class _Worker:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._not_before: dict[int, float] = {}
        self._failures: dict[int, int] = {}

    async def work(self) -> None:
        stopping = self._engine.stopping
        maintained_at = -TEND_EVERY_S
        while not stopping.is_set():
            try:
                await self._look()
                if time.monotonic() - maintained_at >= TEND_EVERY_S:
                    maintained_at = time.monotonic()
                    await run_maintenance(self._engine)
            except (DBAPIError, OSError):  # the database is unavailable; the next poll finds the same work
                logger.warning("could not poll the database for live changes", exc_info=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), LOOK_EVERY_S)
        await asyncio.gather(*self._tasks.values())

    async def _look(self) -> None:
        """Start deliveries for mappings with enough pending changes, and resume runs that have not ended."""
        async with self._engine.database.read() as db:
            unfinished = {run.mapping_id: run for run in await live_mappings.unended(db)}
            everyone = await live_mappings.everyone(db)
        candidates = [
            mapping
            for mapping in everyone
            if mapping.id in unfinished or micro_batch.can_deliver(mapping) or _is_emptied(mapping)
        ]
        for mapping in candidates:
            if len(self._tasks) >= MOST_AT_ONCE:
                return
            if mapping.id not in self._tasks and time.monotonic() >= self._not_before.get(mapping.id, 0.0):
                run = unfinished.get(mapping.id)
                if _is_emptied(mapping) or await (
                    self._is_ready(mapping) if run is None else self._is_left(mapping, run)
                ):
                    task = asyncio.create_task(self._carry(mapping, run), name=f"live {mapping.id}")
                    self._tasks[mapping.id] = task
                    task.add_done_callback(partial(self._ended, mapping.id))

    def _ended(self, mapping_id: int, _task: asyncio.Task[None]) -> None:
        del self._tasks[mapping_id]

    async def _is_ready(self, mapping: AudienceMapping) -> bool:
        """Return whether the gathering time of a mapping's changes is over, or enough have been gathered."""
        async with self._engine.database.read() as db:
            connection = await connections.by_id(db, mapping.connection_id)
            if connection is None or connection.key_rejected_at is not None:
                return False
            allowed = micro_batch.delivery_filter(mapping, self._engine.settings.firehose_merge_window_s)
            waiting = await inbox.waiting(db, mapping.id, ENOUGH_MEMBERS, allowed)
        if waiting.oldest is None:
            return False
        is_gathering = 0.0 <= time.time() - waiting.oldest < self._engine.settings.firehose_gather_s
        return not is_gathering or waiting.size >= ENOUGH_MEMBERS

    async def _is_left(self, mapping: AudienceMapping, run: Run) -> bool:
        """Return whether this process has to resume a run, or to finalize an ended one."""
        if run.status in (RunStatus.SUCCEEDED, RunStatus.CANCELLED):
            # its own worker finalizes it if that is alive
            owner_id = run.worker_id
            return owner_id in (None, self._engine.presence.id) or await self._engine.presence.is_dead(owner_id)
        if not micro_batch.can_deliver(mapping):
            return False
        if run.status is RunStatus.FAILED:
            async with self._engine.database.read() as db:
                connection = await connections.by_id(db, run.connection_id)
                now = await clock.now(db)
            if connection is None or connection.key_rejected_at is not None:
                return False
            has_to_wait = 0.0 <= now - (run.finished_at or 0.0) < _delay(run.attempt)
            # the connection is usable again by now: it has another key, or a person asked to try the key again
            return run.error_code in WHOLE_CONNECTION_CODES or not has_to_wait
        if run.status is RunStatus.INTERRUPTED or run.worker_id == self._engine.presence.id:
            return True  # this process owns it but is not executing it: its end could not be recorded
        return not await executor.is_in_progress(self._engine, run)

    async def _carry(self, mapping: AudienceMapping, unfinished: Run | None) -> None:
        try:
            if _is_emptied(mapping):
                await run_bulk_removal(self._engine, mapping.id)
                return
            if unfinished is not None and unfinished.list_id != mapping.list_id and not unfinished.status.is_active:
                await micro_batch.abandon(self._engine, unfinished)  # the mapping has another list now
                return
            if unfinished is not None and unfinished.status in (RunStatus.SUCCEEDED, RunStatus.CANCELLED):
                await micro_batch.finalize(self._engine, unfinished.id)
                return
            run_id = await (
                self._reopened(unfinished) if unfinished else micro_batch.create_micro_batch(self._engine, mapping)
            )
            if run_id is not None:
                await micro_batch.execute(self._engine, run_id)
        except SyncError as error:
            with contextlib.suppress(DBAPIError):  # if the database is the cause, the next attempt records it
                await self._failed(mapping, error)
        except (DBAPIError, OSError):
            logger.warning("could not deliver live changes", exc_info=True)
            self._wait(mapping)
        except Exception:  # a bug must not end the worker: the changes are still in the inbox
            logger.exception("could not deliver live changes")
            self._wait(mapping)
        else:
            self._failures.pop(mapping.id, None)

    async def _reopened(self, run: Run) -> str | None:
        async with self._engine.database.write() as db:
            attempt = await runs.reopen(db, run, self._engine.presence.id)
        return None if attempt is None else run.id

    async def _failed(self, mapping: AudienceMapping, error: SyncError) -> None:
        """Open an alert for an error outside a run."""
        self._wait(mapping)
        async with self._engine.database.write() as db:
            if error.concerns_whole_connection:
                await connections.change(db, mapping.connection_id, key_rejected_at=await clock.now(db))
            await alerting.open_or_repeat(
                db,
                connection_id=mapping.connection_id,
                mapping_id=mapping.id,
                run_id=None,
                code=error.code,
                message=error.message,
            )

    def _wait(self, mapping: AudienceMapping) -> None:
        self._failures[mapping.id] = failures = self._failures.get(mapping.id, 0) + 1
        self._not_before[mapping.id] = time.monotonic() + _delay(failures - 1)


def _is_emptied(mapping: AudienceMapping) -> bool:
    """Return whether a bulk removal was requested and is not complete in the inbox yet."""
    return mapping.status is MappingStatus.ACTIVE and mapping.bulk_removal_cursor is not None


def _delay(attempts: int) -> float:
    return float(min(LONGEST_RETRY_S, RETRY_S * 2 ** min(attempts, 10)))
