"""Due work: fires schedules, looks at sources, retries runs after an outage, makes reports, and writes the run log.

The worker's loop starts it (core/runs/worker.py). Several processes may: each piece of work is claimed by one
statement that compares and sets its time.
"""

import asyncio
import logging
import math
from functools import partial

from core.automation import reports, source_watcher, times
from core.automation.list_watch import ListWatch
from core.automation.schedules import WATCH_INTERVAL_S
from core.engine import Engine
from core.iterable.errors import LIST_CODES
from core.runs import automatic_retry
from core.store import clock, due_work, file_sources, runs, schedules
from core.store.database_errors import DATABASE_FAULTS
from core.store.file_sources import FileSource
from core.store.schedules import Missed, Schedule, Trigger

logger = logging.getLogger(__name__)

# A schedule that is later than this has missed its time: no process ran, in seconds.
MISSED_AFTER_S = 600.0
# A run that failed because of its list is retried when its schedule fires, but not within so many seconds.
LIST_RETRY_S = 3600.0
# How many sources a process looks at concurrently.
LOOKS_AT_ONCE = 4


class DueWork:
    """The due work of this process. `start` begins what is due now, and `finish` waits for the end of it."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine. No I/O."""
        self._engine = engine
        self._looks: dict[int, asyncio.Task[None]] = {}
        self._log: asyncio.Task[None] | None = None
        self._lists: asyncio.Task[None] | None = None
        self._list_watch = ListWatch(engine)

    async def start(self) -> None:
        """Fire schedules, retry runs, look at sources and make reports, as far as they are due."""
        engine = self._engine
        if self._list_watch.is_due and (self._lists is None or self._lists.done()):
            self._lists = asyncio.create_task(self._look_at_lists(), name="missing lists")
        async with engine.database.read() as db:
            if not await due_work.any_due(db):
                return
            due = await schedules.due(db, await clock.now(db))
        for schedule in due:
            await _fire(engine, schedule)
        await automatic_retry.retry_due(engine)
        if self._log is None or self._log.done():
            self._log = asyncio.create_task(_write_log(engine), name="run log")
        async with engine.database.read() as db:
            sources = await file_sources.due(db, await clock.now(db))
        for source in sources:
            if source.mapping_id not in self._looks and len(self._looks) < LOOKS_AT_ONCE:
                task = asyncio.create_task(_look(engine, source), name=f"source {source.mapping_id}")
                self._looks[source.mapping_id] = task
                task.add_done_callback(partial(self._ended, source.mapping_id))
        await reports.send_due(engine)

    def _ended(self, mapping_id: int, _task: asyncio.Task[None]) -> None:
        del self._looks[mapping_id]

    async def finish(self) -> None:
        """Wait until the looks have ended, and the run that is written to the run log."""
        others = [task for task in (self._log, self._lists) if task is not None]
        await asyncio.gather(*self._looks.values(), *others)

    async def _look_at_lists(self) -> None:
        try:
            await self._list_watch.look()
        except DATABASE_FAULTS:  # the next look asks again
            logger.warning("could not look for missing lists", exc_info=True)
        except Exception:  # a bug must not end the worker
            logger.exception("could not look for missing lists")


async def _look(engine: Engine, source: FileSource) -> None:
    try:
        await source_watcher.look(engine, source)
    except DATABASE_FAULTS:  # the look is repeated when its claim is over
        logger.warning("could not look at the source of mapping %s", source.mapping_id, exc_info=True)
    except Exception:  # a bug must not end the worker
        logger.exception("could not look at the source of mapping %s", source.mapping_id)


async def _write_log(engine: Engine) -> None:
    from core.run_log import export  # imports Arrow, which most processes never need

    try:
        await export.write_due(engine)
    except DATABASE_FAULTS:  # it is tried again when the claim is over
        logger.warning("could not write the run log", exc_info=True)
    except Exception:  # a bug must not end the worker
        logger.exception("could not write the run log")


async def _fire(engine: Engine, schedule: Schedule) -> None:
    """Claim a due schedule, set its next time, and have its source looked at unless it has to wait."""
    async with engine.database.write() as db:
        now = await clock.now(db)
        quiet = times.quiet_until(schedule.quiet_from, schedule.quiet_to, schedule.time_zone, now)
        if quiet is not None:
            await schedules.claim(db, schedule, quiet, fired_at=None)
            return
        is_missed = now - (schedule.next_due_at or now) > MISSED_AFTER_S
        is_skipped = is_missed and schedule.missed is Missed.SKIP and schedule.trigger is Trigger.CRON
        if not await schedules.claim(db, schedule, _next(schedule, now), fired_at=None if is_skipped else now):
            return
        if not is_skipped:
            await runs.retry_failed(db, LIST_CODES, mapping_id=schedule.mapping_id, after_s=LIST_RETRY_S)
            await file_sources.request_look(db, schedule.mapping_id, schedule.actor)
    if is_skipped:
        minutes = math.floor((now - (schedule.next_due_at or now)) / 60)
        logger.info("schedule %s missed its time by %s minutes, and waits for the next one", schedule.id, minutes)


def _next(schedule: Schedule, now: float) -> float | None:
    if schedule.trigger is Trigger.CRON:
        return times.next_time(schedule.cron or "", schedule.time_zone, now)
    return now + WATCH_INTERVAL_S if schedule.trigger is Trigger.NEW_FILE else None
