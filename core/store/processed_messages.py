"""Ids of processed Firehose messages, so that a repeated message counts once."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.tables import processed_messages


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """The new message ids; and whether any identity is erased or any key rejected, which the caller checks only
    then."""

    new: set[str]
    any_erased: bool
    any_refused: bool


# One statement, because each costs a thread switch while mParticle waits.
_IDS = {"sqlite": "json_each(:ids)", "postgresql": "jsonb_array_elements(CAST(:ids AS jsonb)) AS each(value)"}
_ID = {"sqlite": "value", "postgresql": "value #>> '{}'"}
_TAKE = """
INSERT INTO messages (id, at) SELECT DISTINCT {id}, CAST(:now AS double precision) FROM {ids} WHERE true
ON CONFLICT (id) DO NOTHING RETURNING id, EXISTS (SELECT 1 FROM erased) AS any_erased,
    EXISTS (SELECT 1 FROM connections WHERE refused_at IS NOT NULL) AS any_refused
"""


async def deduplicate(db: AsyncConnection, ids: Sequence[str], now: float) -> Deduplicated:
    """Record messages as processed at `now`, and return which of them are new."""
    statement = text(_TAKE.format(id=_ID[db.dialect.name], ids=_IDS[db.dialect.name]))
    rows = (await db.execute(statement, {"ids": orjson.dumps(ids).decode(), "now": now})).all()
    return Deduplicated(
        {r.id for r in rows}, any(r.any_erased for r in rows), not rows or any(r.any_refused for r in rows)
    )


async def last(db: AsyncConnection) -> float | None:
    """Return when the last message was processed."""
    processed_at: float | None = (await db.execute(select(func.max(processed_messages.c.at)))).scalar_one()
    return processed_at


async def any_before(db: AsyncConnection, before: float) -> bool:
    """Return whether ids are kept of messages that were processed before that time."""
    query = select(processed_messages.c.id).where(processed_messages.c.at < before).limit(1)
    return (await db.execute(query)).first() is not None


async def clear_old(db: AsyncConnection, before: float, limit: int) -> int:
    """Delete up to `limit` ids of messages processed before that time. Returns how many."""
    chosen = select(processed_messages.c.id).where(processed_messages.c.at < before).limit(limit)
    return int((await db.execute(delete(processed_messages).where(processed_messages.c.id.in_(chosen)))).rowcount)
