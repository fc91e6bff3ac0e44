"""Socket Mode: a closed connection leaves no task."""

import asyncio
from typing import Any

from bot.slack.connection import connected
from sandbox.slack import running
from tests.sandbox.slack.bolt import app_of


async def test_closed_connection_leaves_no_task() -> None:
    """The client's tasks have ended when the block ends, even if they end slowly after their cancellation."""
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
            tasks = [client.message_processor, client.current_session_monitor, client.message_receiver]
            assert [task is not None and task.done() for task in tasks] == [False, False, False]
        assert [task is not None and task.done() for task in tasks] == [True, True, True]
        assert not (await command).ok
