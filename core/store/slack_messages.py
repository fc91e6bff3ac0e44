"""Posts: the messages that follow the state of something, where each is, and what it showed last."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypedDict, Unpack

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.rows import by_key, plain
from core.store.tables import slack_messages

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
    kind: str
    digest: str
    status: MessageStatus
    attempts: int
    retry_at: float
    error: str | None


async def add(db: AsyncConnection, key: str, *, team_id: str | None, target: str) -> None:
    """Store a post that is to be made."""
    await db.execute(
        insert(slack_messages).values(key=key, team_id=team_id, target=target, status=MessageStatus.NEW.value)
    )


async def get(db: AsyncConnection, key: str) -> SlackMessage | None:
    """Find a post by its key."""
    row = (await db.execute(select(slack_messages).where(slack_messages.c.key == key))).mappings().first()
    return None if row is None else _one(row)


async def of(db: AsyncConnection, keys: Collection[str]) -> dict[str, SlackMessage]:
    """Find posts by their keys."""
    found: dict[str, SlackMessage] = {}
    wanted = list(keys)
    for first in range(0, len(wanted), CHUNK):
        query = select(slack_messages).where(slack_messages.c.key.in_(wanted[first : first + CHUNK]))
        found |= {row["key"]: _one(row) for row in (await db.execute(query)).mappings()}
    return found


async def at(db: AsyncConnection, channel: str, ts: str) -> SlackMessage | None:
    """Find the post that is this message."""
    row = (
        (await db.execute(select(slack_messages).where(slack_messages.c.channel == channel, slack_messages.c.ts == ts)))
        .mappings()
        .first()
    )
    return None if row is None else _one(row)


class SlackMessageUpdate(TypedDict, total=False):
    """Columns of a message that may be set."""

    target: str
    channel: str | None
    ts: str | None
    kind: str
    digest: str
    status: MessageStatus
    attempts: int
    retry_at: float
    error: str | None


async def change(db: AsyncConnection, key: str, **values: Unpack[SlackMessageUpdate]) -> None:
    """Set columns of a post."""
    await db.execute(update(slack_messages).where(slack_messages.c.key == key).values(**plain(values)))


async def drop(db: AsyncConnection, key: str) -> None:
    """Forget a post."""
    await db.execute(delete(slack_messages).where(slack_messages.c.key == key))


def _one(row: Any) -> SlackMessage:
    values = by_key(slack_messages, row)
    del values["updated_at"]
    return SlackMessage(**{**values, "status": MessageStatus(values["status"])})
