"""Slack messages that follow a state: the place and the last content of each."""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypedDict, Unpack

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock
from core.store.rows import by_key, plain
from core.store.tables import slack_messages

#: The kind of a message that shows the final state, after which no edit follows.
DONE = "done"
# Keys in one query: databases limit the number of variables.
CHUNK = 500

_MESSAGES = select(slack_messages, clock.AT_START.label("read_at"))


class MessageStatus(StrEnum):
    """The status of a message."""

    NEW = "new"
    """Not sent yet, or certainly not posted: to be sent."""
    SENDING = "sending"
    """The intent to post: may have been posted."""
    POSTED = "posted"
    UNCONFIRMED = "lost"
    """Sent without an answer. Not sent again in this form, because it may have been posted."""
    REJECTED = "refused"
    """Slack rejected it (the channel is archived, the bot is not in it, ...)."""


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """A message as stored. `target` is the channel or person to post to; `channel` and `ts` identify the posted
    message.

    It is not sent again before `retry_at`. That, and when this was read, are UTC seconds by the database's clock.
    """

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
    read_at: float = field(default=0.0, compare=False)


async def add(db: AsyncConnection, key: str, *, team_id: str | None, target: str) -> None:
    """Store a message that is to be posted."""
    await db.execute(
        insert(slack_messages).values(key=key, team_id=team_id, target=target, status=MessageStatus.NEW.value)
    )


async def get(db: AsyncConnection, key: str) -> SlackMessage | None:
    """Find a message by its key."""
    row = (await db.execute(_MESSAGES.where(slack_messages.c.key == key))).mappings().first()
    return None if row is None else _one(row)


async def of(db: AsyncConnection, keys: Collection[str]) -> dict[str, SlackMessage]:
    """Find messages by their keys."""
    messages: dict[str, SlackMessage] = {}
    wanted = list(keys)
    for first in range(0, len(wanted), CHUNK):
        query = _MESSAGES.where(slack_messages.c.key.in_(wanted[first : first + CHUNK]))
        messages |= {row["key"]: _one(row) for row in (await db.execute(query)).mappings()}
    return messages


async def at(db: AsyncConnection, channel: str, ts: str) -> SlackMessage | None:
    """Find a message by its channel and time stamp."""
    query = _MESSAGES.where(slack_messages.c.channel == channel, slack_messages.c.ts == ts)
    row = (await db.execute(query)).mappings().first()
    return None if row is None else _one(row)


class SlackMessageUpdate(TypedDict, total=False):
    """Columns of a message that may be set, and after how many seconds it may be sent again (None: at once)."""

    target: str
    channel: str | None
    ts: str | None
    kind: str
    digest: str
    status: MessageStatus
    attempts: int
    retry_in_s: float | None
    error: str | None


async def change(db: AsyncConnection, key: str, **values: Unpack[SlackMessageUpdate]) -> None:
    """Set columns of a message."""
    stored = plain(values)
    if "retry_in_s" in stored:
        wait = stored.pop("retry_in_s")
        stored["retry_at"] = 0.0 if wait is None else clock.AT_START + wait
    await db.execute(update(slack_messages).where(slack_messages.c.key == key).values(**stored))


async def drop(db: AsyncConnection, key: str) -> None:
    """Delete a message."""
    await db.execute(delete(slack_messages).where(slack_messages.c.key == key))


def _one(row: Any) -> SlackMessage:
    values = by_key(slack_messages, row)
    del values["updated_at"]
    return SlackMessage(**{**values, "status": MessageStatus(values["status"]), "read_at": row["read_at"]})
