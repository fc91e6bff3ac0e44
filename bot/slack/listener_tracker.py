"""Tracks running listeners, so that requests of people are finished before the process ends."""

import asyncio
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.listener.async_listener_start_handler import AsyncListenerStartHandler

# How long listeners may run after the process stops listening to Slack, in seconds. Durable work is in the queue.
GRACE_S = 5.0


class ListenerTracker(AsyncListenerStartHandler):
    """Tracks the tasks of an app's listeners. Bolt starts them without waiting for them."""

    def __init__(self, app: AsyncApp) -> None:
        """Start tracking an app."""
        self._tasks: set[asyncio.Task[Any]] = set()
        app.listener_runner.listener_start_handler = self

    async def handle(self, request: Any, response: Any) -> None:
        """Track the task that runs a listener."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for running listeners, and cancel those that take too long."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
