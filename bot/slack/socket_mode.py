"""Socket Mode: connected to Slack for the length of a block, and nothing left over after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient

# How often the connection is tried, in seconds. One that is lost without a word is replaced after this long.
PING_EVERY_S = 5.0


@asynccontextmanager
async def connected(app: AsyncApp, app_token: str) -> AsyncIterator[SocketModeClient]:
    """Stay connected for the length of the block; lost or refreshed connections are replaced.

    The first connection is waited for as long as it takes. Whether the token is right has to be known before.
    """
    handler = AsyncSocketModeHandler(app, app_token, ping_interval=PING_EVERY_S)
    client = handler.client
    try:
        await handler.connect_async()  # type: ignore[no-untyped-call]
        yield client
    finally:
        tasks = [client.message_processor, client.current_session_monitor, client.message_receiver]
        await handler.close_async()  # type: ignore[no-untyped-call]
        # they were told to end, and have not ended yet
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)
