"""Posts: the messages that follow the state of something, where each is, and what it showed last."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.tables import posts

#: The stage of a post that shows the end of what it is about, after which nothing more comes.
DONE = "done"
# Keys asked for at once: databases limit the variables of a query.
CHUNK = 500


class MessageStatus(StrEnum):
    """How far a post is."""

    NEW = "new"
    """Not sent yet, or certainly not taken: is to be sent."""
    SENDING = "sending"
    """The intent: perhaps posted."""
    POSTED = "posted"
    UNCONFIRMED = "lost"
    """Sent, and the answer never seen. Never sent again as it was: it may be there."""
    REJECTED = "refused"
    """It can't be posted where it should be (the channel is archived, the bot is not in it, ...)."""


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """A post as stored. `target` is where it is to be; `channel` and `ts` are where it is."""

    key: str
    team_id: str | None
    target: str
    channel: str | None
    ts: str | None
    stage: str
    digest: str
    state: MessageStatus
    tries: int
    next_at: float
    updated_at: float
    error: str | None


async def add(db: AsyncConnection, key: str, *, team_id: str | None, target: str) -> None:
    """Store a post that is to be made."""
    await db.execute(
        insert(posts).values(
            key=key, team_id=team_id, target=target, state=MessageStatus.NEW.value, updated_at=time.time()
        )
    )


async def get(db: AsyncConnection, key: str) -> SlackMessage | None:
    """Find a post by its key."""
    row = (await db.execute(select(posts).where(posts.c.key == key))).mappings().first()
    return None if row is None else _one(row)


async def of(db: AsyncConnection, keys: Collection[str]) -> dict[str, SlackMessage]:
    """Find posts by their keys."""
    found: dict[str, SlackMessage] = {}
    wanted = list(keys)
    for first in range(0, len(wanted), CHUNK):
        query = select(posts).where(posts.c.key.in_(wanted[first : first + CHUNK]))
        found |= {row["key"]: _one(row) for row in (await db.execute(query)).mappings()}
    return found


async def at(db: AsyncConnection, channel: str, ts: str) -> SlackMessage | None:
    """Find the post that is this message."""
    row = (await db.execute(select(posts).where(posts.c.channel == channel, posts.c.ts == ts))).mappings().first()
    return None if row is None else _one(row)


async def change(db: AsyncConnection, key: str, **values: Any) -> None:
    """Set columns of a post."""
    await db.execute(update(posts).where(posts.c.key == key).values(**values, updated_at=time.time()))


async def drop(db: AsyncConnection, key: str) -> None:
    """Forget a post."""
    await db.execute(delete(posts).where(posts.c.key == key))


def _one(row: Any) -> SlackMessage:
    return SlackMessage(**{**row, "state": MessageStatus(row["state"])})
