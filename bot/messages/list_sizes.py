"""The size of a list in Iterable after a run, fetched once and behind everybody's back."""

import asyncio
import logging
import time

from bot.wakeup import WakeSignal
from core.engine import Engine
from core.errors import SyncError
from core.iterable.retry import INTERACTIVE_RETRY
from core.models.run import Run, RunStatus
from core.store import runs
from core.store.connections import Connection
from core.store.database import to_the_end

# Of runs that ended longer ago, the list has changed since, in seconds.
FRESH_S = 600.0
# Runs of which it is remembered that their size was asked for: they are looked at for moments only.
MOST_REMEMBERED = 500

logger = logging.getLogger(__name__)


class ListSizeFetcher:
    """Asks Iterable how many people are on a list, once for each run."""

    def __init__(self, engine: Engine, wake: WakeSignal) -> None:
        """Take the engine, and whom to wake when a size is known. No I/O."""
        self._engine = engine
        self._wake = wake
        self._asked: dict[str, asyncio.Task[None]] = {}

    def is_to_come(self, run: Run, connection: Connection) -> bool:
        """Whether the size after this run will be known; it is asked for where that was not done yet."""
        if run.status is not RunStatus.SUCCEEDED or run.list_size is not None:
            return False
        if run.finished_at is None or run.finished_at < time.time() - FRESH_S:
            return False
        if run.id not in self._asked:
            if len(self._asked) > MOST_REMEMBERED:
                self._asked = {run_id: task for run_id, task in self._asked.items() if not task.done()}
            self._asked[run.id] = asyncio.create_task(self._fetch(run, connection), name=f"size after {run.id}")
        return not self._asked[run.id].done()

    async def close(self) -> None:
        """End what is under way."""
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)

    async def _fetch(self, run: Run, connection: Connection) -> None:
        try:
            async with self._engine.client(connection, patience=INTERACTIVE_RETRY) as client:
                size = await client.get_list_size(run.list_id)
            await to_the_end(self._store(run.id, size))
        except SyncError as error:
            logger.info("the size of the list after run %s is not known: %s", run.id, error.code)
        except Exception:  # it is only a number in a message
            logger.warning("the size of the list after run %s could not be stored", run.id, exc_info=True)
        self._wake()

    async def _store(self, run_id: str, size: int) -> None:
        async with self._engine.database.write() as db:
            await runs.set_list_size(db, run_id, size)
