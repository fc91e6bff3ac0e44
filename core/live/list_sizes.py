"""The sizes of the lists of live mappings, as Iterable counts them: read while changes come, for charts and trends."""

import logging

from core.connections.lists import is_new_in_iterable
from core.engine import Engine
from core.errors import SyncError
from core.runs.list_people import SETTLES_S
from core.store import clock, live_sizes, runs
from core.store.live_sizes import DueSize

#: How often the size of a list is read while changes come, in seconds. Iterable allows 5 calls a minute.
READ_EVERY_S = 3600.0
# Lists whose sizes are read before the next look.
MOST_AT_ONCE = 3

logger = logging.getLogger(__name__)


async def read_due_sizes(engine: Engine) -> None:
    """Read the sizes that are due, and store them with the daily runs. Of several processes, one reads each."""
    async with engine.database.read() as db:
        now = await clock.now(db)
        due = await live_sizes.due(db, begun_before=now - SETTLES_S, read_before=now - READ_EVERY_S, limit=MOST_AT_ONCE)
    for size in due:
        if engine.stopping.is_set():
            return
        async with engine.database.write() as db:
            is_ours = await live_sizes.claim(db, size, await clock.now(db))
        if is_ours:
            await _read(engine, size)


async def _read(engine: Engine, size: DueSize) -> None:
    try:
        async with engine.client(size.connection) as client:
            if await is_new_in_iterable(engine, size.connection.id, size.list_id):
                client.expect_new_list(size.list_id)
            people = await client.get_list_size(size.list_id)
    except SyncError as error:  # the next reading is due in an hour
        logger.info("could not read the size of list %s: %s", size.list_id, error.code)
        return
    async with engine.database.write() as db:
        await runs.set_list_size(db, size.run_id, people)
