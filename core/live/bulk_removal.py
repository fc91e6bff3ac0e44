"""Bulk removal of the members of a disconnected audience, after a person has asked for it.

A worker does it in chunks: it drops the changes that are still pending, then inserts removals of all ledger members
into the inbox, which are delivered like any other change. Each chunk advances the mapping's cursor in the same
transaction, so another worker can continue after a crash.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.store import clock, inbox, live_mappings, mappings

#: Rows written in one transaction.
PIECE = 2_000
#: The cursor of a bulk removal that has not started.
BEGINNING = ""


async def run_bulk_removal(engine: Engine, mapping_id: int) -> None:
    """Remove the members of a mapping, in chunks, until none remains or the engine is stopping."""
    while not engine.stopping.is_set():
        async with engine.database.write() as db:
            if not await remove_next_chunk(db, mapping_id):
                return


async def remove_next_chunk(db: AsyncConnection, mapping_id: int) -> bool:
    """Remove the next chunk. Returns True while members remain.

    The removals have the time of the database's clock as their stamp, which later changes are compared with: those have
    mParticle's.
    """
    mapping = await live_mappings.lock(db, mapping_id)
    if mapping is None or mapping.bulk_removal_cursor is None:  # the audience was connected again
        return False
    if mapping.bulk_removal_cursor == BEGINNING and await inbox.drop_waiting(db, mapping_id, PIECE):
        return True
    stamp = int(await clock.now(db) * 1000)
    after = await inbox.put_removals(db, mapping_id, stamp, mapping.bulk_removal_cursor, PIECE)
    await mappings.change(db, mapping_id, bulk_removal_cursor=after)
    return after is not None
