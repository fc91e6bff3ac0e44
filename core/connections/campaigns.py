"""The campaigns that Iterable will send to our lists: read before each plan, and regularly by one worker."""

import asyncio
import logging
import time
from dataclasses import replace

from core.engine import Engine
from core.errors import SyncError
from core.iterable.retry import INTERACTIVE_RETRY
from core.store import campaigns, clock
from core.store.connections import Connection

#: How often campaigns are read, in seconds, and how often while a mapping is frozen for one of them.
READ_EVERY_S, FROZEN_EVERY_S = 600.0, 60.0
# How long Iterable may take, in seconds. Without an answer, what was read last stays.
WITHIN_S = 10.0
_ONCE = replace(INTERACTIVE_RETRY, max_attempts=1, retry_after=1.0, throttle_timeout_s=1.0)

logger = logging.getLogger(__name__)


async def refresh_campaigns(engine: Engine, connection: Connection, *, max_age_s: float = 0.0) -> None:
    """Read the campaigns of a connection that are due, unless this process read them at most `max_age_s` ago.

    If Iterable does not answer, what was read last stays.
    """
    read_at = engine.campaigns_read.get(connection.id)
    if read_at is not None and time.monotonic() - read_at < max_age_s:
        return
    try:
        async with asyncio.timeout(WITHIN_S), engine.client(connection, retry_policy=_ONCE) as client:
            due = await client.due_campaigns()
    except (SyncError, TimeoutError) as error:
        logger.info("could not read the campaigns of connection %s: %s", connection.id, type(error).__name__)
        return
    engine.campaigns_read[connection.id] = time.monotonic()
    if not due:
        async with engine.database.read() as db:
            if not await campaigns.has_stored(db, connection.id):
                return  # as most of the time
    async with engine.database.write() as db:
        await campaigns.replace(db, connection.id, due)


async def refresh_due_campaigns(engine: Engine) -> None:
    """Read the campaigns of all connections for which it is time. Of several processes, one does so."""
    async with engine.database.read() as db:
        due = await campaigns.due(db, await clock.now(db))
    for connection in due:
        async with engine.database.write() as db:
            is_ours = await campaigns.claim(db, connection, await clock.now(db) + READ_EVERY_S)
        if not is_ours:
            continue
        await refresh_campaigns(engine, connection)
        async with engine.database.write() as db:
            await campaigns.read_again_for_freeze(db, connection.id, FROZEN_EVERY_S)
    if due:
        engine.queued.set()
        engine.live_work.set()
