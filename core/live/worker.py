"""The worker of live mappings: delivers pending changes, resumes orphaned runs, and runs maintenance."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any, TypeVar

from core import alerting
from core.engine import Engine, wait_for_any
from core.errors import SyncError
from core.iterable.errors import WHOLE_CONNECTION_CODES
from core.live import micro_batch
from core.live.bulk_removal import run_bulk_removal
from core.live.deliveries import Deliveries
from core.live.due_checks import run_due_checks
from core.live.maintenance import run_maintenance, watch
from core.live.rounds import ENOUGH_MEMBERS, RECHECK_S, Round, RoundPlan, begin_round, plan_round
from core.models.run import Run, RunStatus
from core.store import clock, connections, live_mappings, live_work, runs
from core.store.database_errors import DATABASE_FAULTS, is_away
from core.store.live_work import LiveWork
from core.store.mappings import AudienceMapping, MappingStatus

T = TypeVar("T")

logger = logging.getLogger(__name__)

# How often a worker looks for changes that another process stored, also while nothing happens in the database, watches
# the backlogs, and runs all of the maintenance, in seconds.
POLL_INTERVAL_S = 2.0
IDLE_INTERVAL_S = 10.0
WATCH_INTERVAL_S = 10.0
# How often it looks for checks that need Iterable (core/live/due_checks.py), in seconds.
CHECK_INTERVAL_S = 30.0
MAINTENANCE_INTERVAL_S = 600.0
# The shortest time between two looks, in seconds.
LEAST_LOOK_S = 0.1
# How many mappings a worker delivers concurrently: they wait for Iterable most of the time. Those of a round are
# planned one after the other, so more work gathers for each while there is much to do.
MOST_AT_ONCE = 64
# How many more it works on that need more than a round (core/live/rounds.py). Fewer large batches are planned at once
# (core/planning_slots.py).
MOST_ALONE = 16
# The wait before a failed mapping is retried, in seconds: doubled after each failure, up to the second value.
RETRY_S, LONGEST_RETRY_S = 5.0, 300.0
_ENDED = (RunStatus.SUCCEEDED, RunStatus.CANCELLED)


async def work(engine: Engine) -> None:
    """Deliver live changes until the engine is stopping. Returns when all deliveries have stopped."""
    await _Worker(engine).work()


class _Worker:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._deliveries = Deliveries(engine)
        # those of these tasks that are no deliveries of a round, by mapping
        self._alone: set[int] = set()
        self._not_before: dict[int, float] = {}
        # when mappings are looked at again whose changes a round has left
        self._again_at: dict[int, float] = {}
        self._failures: dict[int, int] = {}

    async def work(self) -> None:
        stopping = self._engine.stopping
        watched_at, maintained_at = -WATCH_INTERVAL_S, -MAINTENANCE_INTERVAL_S
        checked_at = -CHECK_INTERVAL_S
        while not stopping.is_set():
            self._engine.live_work.clear()
            seen = self._engine.database.activity.count
            wait = POLL_INTERVAL_S
            is_idle = False
            try:
                wait = await self._look()
                is_idle = wait >= POLL_INTERVAL_S and not self._tasks
                if time.monotonic() - maintained_at >= MAINTENANCE_INTERVAL_S:
                    maintained_at = watched_at = time.monotonic()
                    await run_maintenance(self._engine)
                elif time.monotonic() - watched_at >= WATCH_INTERVAL_S:
                    watched_at = time.monotonic()
                    await watch(self._engine)
                if time.monotonic() - checked_at >= CHECK_INTERVAL_S:
                    checked_at = time.monotonic()
                    self._ask_iterable()
            except DATABASE_FAULTS:  # the database is unavailable; the next poll finds the same work
                logger.warning("could not poll the database for live changes", exc_info=True)
            await wait_for_any(LEAST_LOOK_S, stopping)
            wait = min(wait, WATCH_INTERVAL_S) - LEAST_LOOK_S
            most = min(IDLE_INTERVAL_S, WATCH_INTERVAL_S) if is_idle else wait
            await self._engine.rest(wait, most, seen, self._engine.live_work)
        others = list(self._others)
        for task in others:  # they may wait for Iterable's limits for minutes
            task.cancel()
        await asyncio.gather(*self._tasks.values(), asyncio.gather(*others, return_exceptions=True))
        await self._deliveries.close()

    def _ask_iterable(self) -> None:
        """Start what is due of Iterable's side, unless it is under way: it may have to wait for Iterable's limits."""
        if not self._others:
            task = asyncio.create_task(run_due_checks(self._engine), name="due checks")
            self._others.add(task)
            task.add_done_callback(self._others.discard)

    async def _look(self) -> float:
        """Start deliveries for mappings with enough pending changes, and resume runs that have not ended. The work that
        has waited longest comes first. Returns after how many seconds to look again.
        """
        gather_s = self._engine.settings.firehose_gather_s
        async with self._engine.database.read() as db:
            pending = await live_work.pending(db, gather_s, ENOUGH_MEMBERS)
            idle = [work for work in pending if work.mapping.id not in self._tasks]
            has_runs = any(work.has_run for work in idle)
            unfinished = {run.mapping_id: run for run in await live_mappings.unended(db)} if has_runs else {}
            wait = POLL_INTERVAL_S
            ready: list[LiveWork] = []
            alone: list[LiveWork] = []
            for work in sorted(idle, key=lambda work: _waiting_since(work, unfinished.get(work.mapping.id))):
                mapping = work.mapping
                is_alone = mapping.id in unfinished or _is_emptied(mapping)
                delay = self._not_before.get(mapping.id, 0.0) - time.monotonic()
                if not is_alone:
                    again_in = self._again_at.get(mapping.id, 0.0) - time.monotonic()
                    delay = max(delay, again_in, _gathers_for(work, gather_s))
                if delay > 0.0:
                    wait = min(wait, delay)
                elif is_alone:
                    alone.append(work)
                elif len(self._tasks) - len(self._alone) + len(ready) < MOST_AT_ONCE:
                    ready.append(work)
            planned = None
            if ready:  # in the same read: to begin another one costs as much as a query
                planning = plan_round(self._engine, db, ready)
                planned = await self._or_else(planning, RoundPlan(Round(others=ready)))
        for work in alone:
            mapping, run = work.mapping, unfinished.get(work.mapping.id)
            if len(self._alone) >= MOST_ALONE:
                break
            if run is not None and work.held is not None and run.status not in _ENDED:
                continue  # it stopped before its mapping was frozen
            if _is_emptied(mapping) or (run is not None and await self._is_left(work, run)):
                self._start(mapping, self._carry(mapping, run), is_alone=True)
        return wait if planned is None else min(wait, await self._begin_round(planned, ready))

    async def _begin_round(self, planned: RoundPlan, works: list[LiveWork]) -> float:
        """Deliver the changes of these mappings. Returns after how many seconds to look again."""
        begun = await self._or_else(begin_round(self._engine, planned), Round(others=works))
        for delivery in begun.deliveries:
            self._start(delivery.state.mapping, self._deliveries.deliver(delivery))
        for work in begun.others:
            if len(self._alone) < MOST_ALONE:
                self._start(work.mapping, self._carry(work.mapping, None), is_alone=True)
            else:
                begun.later[work.mapping.id] = RECHECK_S
        now = time.monotonic()
        self._again_at = {mapping_id: now + min(wait, RECHECK_S) for mapping_id, wait in begun.later.items()}
        return min([POLL_INTERVAL_S, *(at - now for at in self._again_at.values())])

    async def _or_else(self, step: Awaitable[T], otherwise: T) -> T:
        """Return the result of a step of a round, or `otherwise` if it fails because of one of its mappings.

        Raises the database's errors if that is unavailable.
        """
        try:
            return await step
        except DATABASE_FAULTS as error:
            if is_away(error):
                raise
            logger.warning("could not begin a round of live changes", exc_info=True)
        except Exception:  # a bug that one mapping causes must not stop the others
            logger.exception("could not begin a round of live changes")
        return otherwise

    def _start(self, mapping: AudienceMapping, work: Coroutine[Any, Any, None], *, is_alone: bool = False) -> None:
        if is_alone:
            self._alone.add(mapping.id)
        task = asyncio.create_task(self._guarded(mapping, work), name=f"live {mapping.id}")
        self._tasks[mapping.id] = task
        task.add_done_callback(partial(self._ended, mapping.id))

    def _ended(self, mapping_id: int, _task: asyncio.Task[None]) -> None:
        del self._tasks[mapping_id]
        self._alone.discard(mapping_id)
        self._engine.live_work.set()  # there is room for another delivery

    async def _is_left(self, work: LiveWork, run: Run) -> bool:
        """Return whether this process has to resume a run, or to finalize an ended one."""
        is_own = run.worker_id in (None, self._engine.presence.id)
        if run.status in _ENDED:
            # its own worker finalizes it if that is alive
            return is_own or await self._engine.presence.is_dead(run.worker_id or "")
        if not micro_batch.can_deliver(work.mapping):
            return False
        if run.status is RunStatus.FAILED:
            if work.is_key_rejected:
                return False
            # the connection is usable again by now: it has another key, or a person asked to try the key again
            return run.error_code in WHOLE_CONNECTION_CODES or not await self._has_to_wait(run)
        # active, and not executed here: its end could not be recorded. A run of another process is interrupted when
        # that process is declared dead (core/worker_registry.py).
        return run.status is RunStatus.INTERRUPTED or is_own

    async def _has_to_wait(self, run: Run) -> bool:
        """Return whether it is too early to try a failed run again. Then it is looked at again after a while."""
        now = await self._engine.time()
        has_to_wait = 0.0 <= now - (run.finished_at or 0.0) < _delay(run.attempt)
        if has_to_wait:  # a person may resume it sooner
            self._not_before[run.mapping_id] = time.monotonic() + POLL_INTERVAL_S
        return has_to_wait

    async def _carry(self, mapping: AudienceMapping, unfinished: Run | None) -> None:
        """Do what a round does not: whatever is unusual about a mapping."""
        if _is_emptied(mapping):
            await run_bulk_removal(self._engine, mapping.id)
            return
        if unfinished is not None and unfinished.list_id != mapping.list_id and not unfinished.status.is_active:
            await micro_batch.abandon(self._engine, unfinished)  # the mapping has another list now
            return
        if unfinished is not None and unfinished.status in _ENDED:
            await micro_batch.finalize(self._engine, unfinished.id)
            return
        run_id = await (
            self._reopened(unfinished) if unfinished else micro_batch.create_micro_batch(self._engine, mapping)
        )
        if run_id is not None:
            await micro_batch.execute(self._engine, run_id)

    async def _guarded(self, mapping: AudienceMapping, work: Coroutine[Any, Any, None]) -> None:
        """Do work on a mapping. If it fails, wait before the next attempt."""
        try:
            await work
        except SyncError as error:
            with contextlib.suppress(*DATABASE_FAULTS):  # if the database is the cause, the next attempt records it
                await self._failed(mapping, error)
        except DATABASE_FAULTS:
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


def _waiting_since(work: LiveWork, run: Run | None) -> tuple[float, int]:
    """Return since when the work of a mapping waits, and the mapping's id."""
    return (work.oldest or 0.0) if run is None else run.created_at, work.mapping.id


def _gathers_for(work: LiveWork, gather_s: float) -> float:
    """Return for how many more seconds the changes of a mapping are gathered; 0 if they are ready."""
    waited = work.now - (work.oldest or 0.0)
    is_ready = work.is_full or not 0.0 <= waited < gather_s  # negative: the clock was put back
    return 0.0 if is_ready else gather_s - waited


def _is_emptied(mapping: AudienceMapping) -> bool:
    """Return whether a bulk removal was requested and is not complete in the inbox yet."""
    return mapping.status is MappingStatus.ACTIVE and mapping.bulk_removal_cursor is not None


def _delay(attempts: int) -> float:
    return float(min(LONGEST_RETRY_S, RETRY_S * 2 ** min(attempts, 10)))
