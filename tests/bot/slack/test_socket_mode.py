"""Socket Mode: what was begun for a connection has ended when the connection is closed."""

import asyncio
from typing import Any

from bot.slack.connection import connected
from sandbox.slack import running
from tests.sandbox.slack.bolt import app_of


async def test_nothing_is_left_when_the_block_ends() -> None:
    """Tasks of the client that take a while to end when they are told to have ended when the block has."""
    at_work = asyncio.Event()

    async def slow(_: Any) -> None:
        at_work.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(100):
                await asyncio.sleep(0)

    async with running(ack_timeout=0.1) as slack:
        async with connected(app_of(slack), slack.app_token) as client:
            client.on_message_listeners.append(slow)
            command = asyncio.create_task(slack.marketer.command("/iterable-sync"))
            await at_work.wait()
            begun = [client.message_processor, client.current_session_monitor, client.message_receiver]
            assert [task is not None and task.done() for task in begun] == [False, False, False]
        assert [task is not None and task.done() for task in begun] == [True, True, True]
        assert not (await command).ok
