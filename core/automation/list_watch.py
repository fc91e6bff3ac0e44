"""Lists that are missing in Iterable: a run that failed because of one is retried as soon as the list is back."""

import logging
import time

from core.connections.lists import check_list
from core.engine import Engine
from core.errors import SyncError
from core.iterable.errors import LIST_CODES, ListNotFoundError, ListNotStandardError
from core.models.run import Run
from core.store import clock, connections, runs

logger = logging.getLogger(__name__)

# How often Iterable is asked for missing lists, and for how long after the run, in seconds.
CHECK_EVERY_S, GIVEN_UP_AFTER_S = 300.0, 7 * 86_400.0


class ListWatch:
    """Asks for the lists of runs that failed because of them, and retries the runs whose list has come back.

    A list that this process has not seen missing is left to the schedule, which retries the run at most once an hour:
    it may exist, and fail all the same.
    """

    def __init__(self, engine: Engine) -> None:
        """Take the engine. No I/O."""
        self._engine = engine
        self._missing: set[int] = set()
        self._checked_at = -CHECK_EVERY_S

    @property
    def is_due(self) -> bool:
        """Whether this process has not asked recently."""
        return time.monotonic() - self._checked_at >= CHECK_EVERY_S

    async def look(self) -> None:
        """Ask for the lists."""
        engine = self._engine
        self._checked_at = time.monotonic()
        async with engine.database.read() as db:
            failed = await runs.failed_with(db, LIST_CODES, since=await clock.now(db) - GIVEN_UP_AFTER_S)
        self._missing &= {run.mapping_id for run in failed}
        for run in failed:
            if await self._is_missing(run):
                self._missing.add(run.mapping_id)
            elif run.mapping_id in self._missing:
                self._missing.discard(run.mapping_id)
                async with engine.database.write() as db:
                    await runs.retry_failed(db, LIST_CODES, mapping_id=run.mapping_id)
                logger.info("list %s is back, so run %s is retried", run.list_id, run.id)
                engine.due.set()

    async def _is_missing(self, run: Run) -> bool:
        """Return whether a list is missing, as far as Iterable says."""
        async with self._engine.database.read() as db:
            connection = await connections.by_id(db, run.connection_id)
        if connection is None:
            return False
        try:
            await check_list(self._engine, connection, run.list_id)
        except (ListNotFoundError, ListNotStandardError):
            return True
        except SyncError:  # an outage says nothing about the list
            return run.mapping_id in self._missing
        return False
