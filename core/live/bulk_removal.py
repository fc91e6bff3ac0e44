"""Taking the members of a disconnected audience off its list, after a person said so.

The click only says that it is to be done. What still waited is dropped, and then the removal of everybody whom the
ledger holds is put into the inbox, both a piece at a time and by a worker; from there they go out like any others. How
far that is, is on record with the mapping, so that whoever comes next goes on there.
"""

import time

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.store import inbox, live_mappings, mappings

#: Rows written in one transaction.
PIECE = 2_000
#: How far it is where nothing has been done yet.
BEGINNING = ""


async def run_bulk_removal(engine: Engine, mapping_id: int) -> None:
    """Go on with it to its end, or until the engine is stopping."""
    while not engine.stopping.is_set():
        async with engine.database.write() as db:
            if not await remove_next_chunk(db, mapping_id):
                return


async def remove_next_chunk(db: AsyncConnection, mapping_id: int) -> bool:
    """Do a piece. Returns whether there is more to do."""
    mapping = await live_mappings.lock(db, mapping_id)
    if mapping is None or mapping.bulk_removal_cursor is None:  # it was connected again
        return False
    if mapping.bulk_removal_cursor == BEGINNING and await inbox.drop_waiting(db, mapping_id, PIECE):
        return True
    after = await inbox.put_removals(db, mapping_id, int(time.time() * 1000), mapping.bulk_removal_cursor, PIECE)
    await mappings.change(db, mapping_id, bulk_removal_cursor=after)
    return after is not None
