"""The listeners that are at work: what a person has asked for is finished before the process ends."""

import asyncio
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.listener.async_listener_start_handler import AsyncListenerStartHandler

# How long listeners may go on after Slack is not listened to any more, in seconds. What is durable is in the queue.
GRACE_S = 5.0


class ListenerTracker(AsyncListenerStartHandler):
    """Knows the tasks of an app's listeners. Bolt starts them and does not wait for them."""

    def __init__(self, app: AsyncApp) -> None:
        """Begin to watch an app."""
        self._tasks: set[asyncio.Task[Any]] = set()
        app.listener_runner.listener_start_handler = self

    async def handle(self, request: Any, response: Any) -> None:
        """Remember the task that a listener runs in."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for the listeners that are at work; those that take too long are cancelled."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
