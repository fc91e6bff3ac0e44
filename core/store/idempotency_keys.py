"""Idempotency keys of the HTTP API: a request that is sent again starts no second run.

The header is described in https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header.
"""

from dataclasses import dataclass

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import ConflictError
from core.store import clock
from core.store.tables import idempotency_keys

#: How long a key is kept, in seconds.
KEPT_S = 24 * 3600.0
# As text: SQLAlchemy's ON CONFLICT belongs to a dialect, and each takes time to import.
_ADD = text(
    'INSERT INTO idempotency_keys (token_id, "key", digest, run_id, at) '
    "VALUES (:token_id, :key, :digest, :run_id, :at) "
    "ON CONFLICT DO NOTHING RETURNING run_id"
)
_USED = "This Idempotency-Key was used for another request. Use a new key for each sync."


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key that a program chose for a request. `digest` identifies the content of the request."""

    token_id: int
    key: str
    digest: str


async def run_of(db: AsyncConnection, key: IdempotencyKey) -> str | None:
    """Return the run that a request with this key has started, or None.

    Raises ConflictError if the key was used for another request.
    """
    columns = idempotency_keys.c
    query = select(columns.digest, columns.run_id).where(columns.token_id == key.token_id, columns.key == key.key)
    row = (await db.execute(query)).first()
    if row is None:
        return None
    if row.digest != key.digest:
        raise ConflictError(_USED, run_id=row.run_id)
    return str(row.run_id)


async def add(db: AsyncConnection, key: IdempotencyKey, run_id: str) -> None:
    """Store that a request with this key has started a run.

    Raises ConflictError if another request with the key has started one meanwhile: it was about another mapping, since
    those of one mapping come one after the other.
    """
    values = {"token_id": key.token_id, "key": key.key, "digest": key.digest, "run_id": run_id}
    # an insert has no count of rows on PostgreSQL
    if (await db.execute(_ADD, {**values, "at": await clock.now(db)})).scalar_one_or_none() is None:
        raise ConflictError(_USED)


async def drop_old(db: AsyncConnection) -> None:
    """Delete the keys that are older than KEPT_S."""
    await db.execute(delete(idempotency_keys).where(idempotency_keys.c.at < await clock.now(db) - KEPT_S))
