"""The size of a list in Iterable after a run, fetched once in the background."""

import asyncio
import logging

from bot.services import WakeSignal
from core.connections.lists import is_new_in_iterable
from core.engine import Engine
from core.errors import SyncError
from core.iterable.retry import INTERACTIVE_RETRY
from core.models.run import Run, RunStatus
from core.store import runs
from core.store.connections import Connection
from core.store.database import to_the_end

# A list created minutes ago shows its members up to a minute late (seen in Iterable's own client tests), in seconds.
NEW_LIST_DELAY_S = 60.0
# The size is not fetched for runs that ended longer ago, in seconds: the list may have changed since.
FRESH_S = 600.0
# The number of runs whose request is remembered.
MAX_REMEMBERED = 500

logger = logging.getLogger(__name__)


class ListSizeFetcher:
    """Asks Iterable for the size of a list, once for each run."""

    def __init__(self, engine: Engine, wake: WakeSignal) -> None:
        """Take the engine, and the signal to set after a size was stored. No I/O."""
        self._engine = engine
        self._wake = wake
        self._requests: dict[str, asyncio.Task[None]] = {}

    def is_pending(self, run: Run, connection: Connection, now: float) -> bool:
        """Return whether the size after this run is still being fetched. The first call starts the request.

        `now` is the time by the database's clock (UTC seconds).
        """
        if run.status is not RunStatus.SUCCEEDED or run.list_size is not None:
            return False
        if run.finished_at is None or run.finished_at < now - FRESH_S:
            return False
        if run.id not in self._requests:
            if len(self._requests) > MAX_REMEMBERED:
                self._requests = {run_id: task for run_id, task in self._requests.items() if not task.done()}
            self._requests[run.id] = asyncio.create_task(self._fetch(run, connection), name=f"size after {run.id}")
        return not self._requests[run.id].done()

    async def close(self) -> None:
        """Cancel pending requests."""
        for task in self._requests.values():
            task.cancel()
        await asyncio.gather(*self._requests.values(), return_exceptions=True)

    async def _fetch(self, run: Run, connection: Connection) -> None:
        try:
            if await is_new_in_iterable(self._engine, run.connection_id, run.list_id):
                await self._engine.clock.sleep(NEW_LIST_DELAY_S)
            async with self._engine.client(connection, retry_policy=INTERACTIVE_RETRY) as client:
                size = await client.get_list_size(run.list_id)
            await to_the_end(self._store(run.id, size))
        except SyncError as error:
            logger.info("could not fetch the list size after run %s: %s", run.id, error.code)
        except Exception:  # the message is complete without this number
            logger.warning("could not store the list size after run %s", run.id, exc_info=True)
        self._wake()

    async def _store(self, run_id: str, size: int) -> None:
        async with self._engine.database.write() as db:
            await runs.set_list_size(db, run_id, size)
