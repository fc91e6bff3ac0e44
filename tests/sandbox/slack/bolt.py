"""Small Bolt apps for the tests, over Socket Mode and over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack import Slack, View

Opener = Callable[[dict[str, Any]], Awaitable[View]]


def client_of(slack: Slack, token: str | None = None) -> AsyncWebClient:
    """Return a Web API client with the bot's token."""
    return AsyncWebClient(token or slack.bot_token, base_url=slack.api_url)


def app_of(slack: Slack) -> AsyncApp:
    """Return a Bolt app in the first workspace."""
    return AsyncApp(client=client_of(slack), signing_secret=slack.signing_secret)


@contextlib.asynccontextmanager
async def over_sockets(slack: Slack, app: AsyncApp) -> AsyncIterator[AsyncSocketModeHandler]:
    """Connect an app over Socket Mode for the length of the block."""
    handler = AsyncSocketModeHandler(app, slack.app_token, ping_interval=0.2)
    before = len(slack.delivery.socket_mode.connections)
    await handler.connect_async()  # type: ignore[no-untyped-call]
    try:
        await slack.wait_connected(before + 1)
        yield handler
    finally:
        tasks = [handler.client.current_session_monitor, handler.client.message_receiver]
        await handler.close_async()  # type: ignore[no-untyped-call]
        await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)


@contextlib.asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serve an aiohttp application on a free port, and yield its address."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def plain(text: str) -> dict[str, Any]:
    """Return a plain_text object."""
    return {"type": "plain_text", "text": text}


def section(text: str, **more: Any) -> dict[str, Any]:
    """Return a section with mrkdwn."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def button(text: str, action_id: str, **more: Any) -> dict[str, Any]:
    """Return a button."""
    return {"type": "button", "text": plain(text), "action_id": action_id, **more}


def actions(*elements: dict[str, Any], block_id: str = "actions") -> dict[str, Any]:
    """Return an actions block."""
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def field(block_id: str, element: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an input block. The element's action_id is `value` unless it has one."""
    return {
        "type": "input",
        "block_id": block_id,
        "label": plain(block_id.title()),
        "element": {"action_id": "value", **element},
        **more,
    }


def modal(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a modal with a submit button."""
    return {
        "type": "modal",
        "callback_id": "modal",
        "title": plain("Title"),
        "submit": plain("Save"),
        "blocks": list(blocks) or [field("name", {"type": "plain_text_input"})],
        **more,
    }


def option(text: str, value: str | None = None) -> dict[str, Any]:
    """Return an option."""
    return {"text": plain(text), "value": value or text.lower()}


def fresh_trigger(slack: Slack) -> str:
    """Return a new trigger of the marketer."""
    return slack.world.new_trigger(slack.marketer.user).id
