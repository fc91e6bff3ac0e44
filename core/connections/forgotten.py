"""The people that Iterable has forgotten: their hashes, fetched before they are needed and kept for an hour.

Iterable never adds a forgotten person again. It publishes the SHA-256 of their trimmed, lower-case emails
(`GET /api/users/forgotten`, not in userID-based projects) and user ids (`GET /api/users/forgottenUserIds`, not in
email-based ones), 3 requests a second.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, replace

from core.engine import Engine, KnownForgotten
from core.errors import SyncError
from core.identity import ProjectType
from core.iterable import IterableClient
from core.iterable.retry import INTERACTIVE_RETRY
from core.store.connections import Connection

#: How long the hashes count as current, in seconds: for live changes. A preview fetches them again.
FRESH_S = 3600.0
# Planning waits for them this long, in seconds, and goes ahead without them: Iterable then rejects these people itself.
WITHIN_S = 10.0
_ONCE = replace(INTERACTIVE_RETRY, max_attempts=1, retry_after=1.0, throttle_timeout_s=1.0)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kinds:
    emails: bool
    user_ids: bool


_KINDS = {
    ProjectType.EMAIL: _Kinds(emails=True, user_ids=False),
    ProjectType.USER_ID: _Kinds(emails=False, user_ids=True),
    ProjectType.HYBRID: _Kinds(emails=True, user_ids=True),
}


async def fetch_forgotten(engine: Engine, connection: Connection, *, max_age_s: float) -> KnownForgotten | None:
    """Return who is forgotten in a connection's project, not older than `max_age_s` (seconds) if Iterable answers.

    If it does not answer, the hashes of the last time are returned, or None if there are none.
    """
    known = engine.forgotten.get(connection.id)
    if known is not None and known.project == connection.rate_limit_key and time.monotonic() - known.at <= max_age_s:
        return known
    kinds = _KINDS[connection.project_type or ProjectType.EMAIL]
    try:
        async with asyncio.timeout(WITHIN_S), engine.client(connection, retry_policy=_ONCE) as client:
            fetched = await _fetch(client, connection, kinds)
    except (SyncError, TimeoutError) as error:
        logger.info("could not fetch who is forgotten in connection %s: %s", connection.id, type(error).__name__)
        return known
    engine.forgotten[connection.id] = fetched
    return fetched


async def _fetch(client: IterableClient, connection: Connection, kinds: _Kinds) -> KnownForgotten:
    emails = await client.forgotten_emails() if kinds.emails else frozenset[str]()
    user_ids = await client.forgotten_user_ids() if kinds.user_ids else frozenset[str]()
    return KnownForgotten(connection.rate_limit_key, emails, user_ids, time.monotonic())
