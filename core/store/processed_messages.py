"""Ids of processed Firehose messages, so that a repeated message counts once.

They are kept with the time of processing, by the database's clock. It never goes back, even if that clock is set back:
mParticle's stamps are compared with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock
from core.store.database import parsed
from core.store.tables import processed_messages


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """The new message ids; and whether any identity is erased or any key rejected, which the caller checks only
    then.

    `now` is the time by the database's clock, and `at` the same, but never before that of an earlier message. Both are
    in UTC seconds, and 0.0 if no message is new.
    """

    new: set[str]
    now: float
    at: float
    any_erased: bool
    any_refused: bool


# One statement, because each costs a thread switch while mParticle waits.
_IDS = {"sqlite": "json_each(:ids)", "postgresql": "jsonb_array_elements(CAST(:ids AS jsonb)) AS each(value)"}
_ID = {"sqlite": "value", "postgresql": "value #>> '{}'"}
# A last message from further in the future than this, in seconds, was processed while the database's clock was wrong.
_CREDIBLE_S = 24 * 3600
_GREATEST = {"sqlite": "max", "postgresql": "greatest"}
_AT = "{greatest}({now}, coalesce((SELECT max(at) FROM messages WHERE at < {now} + {credible}), 0))"
_TAKE = """
INSERT INTO messages (id, at) SELECT DISTINCT {id}, {at} FROM {ids} WHERE true
ON CONFLICT (id) DO NOTHING RETURNING id, at, {now} AS now, EXISTS (SELECT 1 FROM erased) AS any_erased,
    EXISTS (SELECT 1 FROM connections WHERE refused_at IS NOT NULL) AS any_refused
"""


async def deduplicate(db: AsyncConnection, ids: Sequence[str]) -> Deduplicated:
    """Record messages as processed, and return which of them are new."""
    name = db.dialect.name
    statement = parsed(_TAKE.format(id=_ID[name], ids=_IDS[name], at=_at(name), now=clock.AT_START_TEXT[name]))
    rows = (await db.execute(statement, {"ids": orjson.dumps(ids).decode(), **clock.parameters(db)})).all()
    return Deduplicated(
        {r.id for r in rows},
        max((r.now for r in rows), default=0.0),
        max((r.at for r in rows), default=0.0),
        any(r.any_erased for r in rows),
        not rows or any(r.any_refused for r in rows),
    )


async def time_of_next(db: AsyncConnection) -> float:
    """Return when a message would be processed now (`Deduplicated.at`)."""
    at: float = (await db.execute(parsed(f"SELECT {_at(db.dialect.name)}"), clock.parameters(db))).scalar_one()
    return at


def _at(name: str) -> str:
    now = clock.AT_START_TEXT[name]
    return _AT.format(greatest=_GREATEST[name], now=now, credible=_CREDIBLE_S)


async def any_older(db: AsyncConnection, seconds: float) -> bool:
    """Return whether ids are kept of messages that were processed so long ago."""
    query = select(processed_messages.c.id).where(_is_older(seconds)).limit(1)
    return (await db.execute(query)).first() is not None


async def clear_older(db: AsyncConnection, seconds: float, limit: int) -> int:
    """Delete up to `limit` ids of messages that were processed so long ago. Returns how many."""
    chosen = select(processed_messages.c.id).where(_is_older(seconds)).limit(limit)
    return int((await db.execute(delete(processed_messages).where(processed_messages.c.id.in_(chosen)))).rowcount)


def _is_older(seconds: float) -> ColumnElement[bool]:
    return processed_messages.c.at < clock.AT_START - seconds
