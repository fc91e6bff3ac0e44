"""Recovers unconfirmed messages: if a person clicks in one, it was posted after all."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.messages.payload import key_of
from bot.services import Services
from bot.slack.actor import Actor
from core.store import slack_messages
from core.store.slack_messages import MessageStatus


def register(app: AsyncApp, services: Services) -> None:
    """Add a middleware that recovers a message at each click."""

    @app.middleware
    async def adopt_clicked(body: dict[str, Any], next: Callable[[], Awaitable[Any]]) -> Any:  # noqa: A002  # Bolt's
        for action in body.get("actions") or ():
            if (key := key_of(str(action.get("block_id") or ""))) is not None:
                await recover_message(services, body, key)
        return await next()


async def recover_message(services: Services, body: Mapping[str, Any], key: str) -> None:
    """Store where an unconfirmed message is, from a click in it, so that it is kept up to date again."""
    container = body.get("container") or {}
    channel = (body.get("channel") or {}).get("id") or container.get("channel_id")
    ts = container.get("message_ts")
    if channel is None or ts is None or container.get("is_ephemeral"):
        return
    async with services.engine.database.read() as db:
        stored = await slack_messages.get(db, key)
    is_theirs = stored is not None and stored.team_id in (None, Actor.of(body).team_id)
    if stored is None or not is_theirs or stored.status is not MessageStatus.UNCONFIRMED:
        return
    async with services.engine.database.write() as db:
        await slack_messages.change(db, key, status=MessageStatus.POSTED, channel=channel, ts=ts, digest="", error=None)
    services.wake()
