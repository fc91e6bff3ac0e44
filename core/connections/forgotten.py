"""The people that Iterable has forgotten: their hashes, fetched before they are needed and kept for an hour.

Iterable never adds a forgotten person again. It publishes the SHA-256 of their trimmed, lower-case emails
(`GET /api/users/forgotten`, not in userID-based projects) and user ids (`GET /api/users/forgottenUserIds`, not in
email-based ones), 3 requests a second.

There may be millions of them, so they are in files (core/store/forgotten_files.py), and never in memory at once.
"""

import asyncio
import logging
from dataclasses import replace

from core.engine import Engine
from core.errors import SyncError
from core.iterable.retry import INTERACTIVE_RETRY
from core.store.connections import Connection
from core.store.forgotten_files import ForgottenFiles, files_of, write_hashes

#: How long the hashes count as current, in seconds: for live changes. A preview fetches them again.
FRESH_S = 3600.0
# Planning waits for them this long, in seconds: five million take some 30. Then it goes ahead with those of the last
# time, or without: Iterable rejects these people itself. Live changes wait less.
WITHIN_S, LIVE_WITHIN_S = 60.0, 5.0
_ONCE = replace(INTERACTIVE_RETRY, max_attempts=1, retry_after=1.0, throttle_timeout_s=1.0)

logger = logging.getLogger(__name__)


async def fetch_forgotten(engine: Engine, connection: Connection, *, is_live: bool = False) -> ForgottenFiles | None:
    """Return who is forgotten in a connection's project, as of now if Iterable answers.

    For live changes, hashes of the last hour are enough. If Iterable does not answer in time, the hashes of the last
    time are returned, or None if there are none; a slow fetch continues for the next run.
    """
    files = files_of(engine.settings.data_dir, connection)
    if not (is_live and files.age_s <= FRESH_S):
        fetch = engine.forgotten_fetches.get(connection.id)
        if fetch is None:
            fetch = asyncio.create_task(_fetch(engine, connection, files), name=f"forgotten of {connection.id}")
            engine.forgotten_fetches[connection.id] = fetch
            fetch.add_done_callback(lambda _: engine.forgotten_fetches.pop(connection.id, None))
        await asyncio.wait([fetch], timeout=LIVE_WITHIN_S if is_live else WITHIN_S)
    return None if files.age_s == float("inf") else files


async def _fetch(engine: Engine, connection: Connection, files: ForgottenFiles) -> None:
    try:
        async with engine.client(connection, retry_policy=_ONCE) as client:
            if files.emails is not None:
                await write_hashes(files.emails, client.forgotten_emails())
            if files.user_ids is not None:
                await write_hashes(files.user_ids, client.forgotten_user_ids())
    except (SyncError, OSError) as error:
        logger.info("could not fetch who is forgotten in connection %s: %s", connection.id, type(error).__name__)
