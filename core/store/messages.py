"""Ids of the Firehose messages that have been taken: one that comes again counts once."""

import time
from collections.abc import Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.tables import messages


async def take(db: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Record that messages are being taken, and return which of them are new."""
    new = set(ids) - set((await db.execute(select(messages.c.id).where(messages.c.id.in_(ids)))).scalars())
    if not new:
        return new
    now = time.time()
    if db.dialect.name == "sqlite":  # one writer: nobody else can have taken them since
        await db.execute(insert(messages), [{"id": each, "at": now} for each in sorted(new)])
        return new
    statement = postgresql.insert(messages).values([{"id": each, "at": now} for each in sorted(new)])
    return set((await db.execute(statement.on_conflict_do_nothing().returning(messages.c.id))).scalars())


async def clear_old(db: AsyncConnection, before: float, limit: int) -> int:
    """Forget up to `limit` ids of messages that came before that time. Returns how many."""
    chosen = select(messages.c.id).where(messages.c.at < before).limit(limit)
    return int((await db.execute(delete(messages).where(messages.c.id.in_(chosen)))).rowcount)
