"""Dispatches deliveries over Socket Mode or HTTP, repeats unacknowledged events, and keeps a record."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.slack.delivery import payloads
from sandbox.slack.delivery.ack import Answer
from sandbox.slack.delivery.http_mode import HttpMode
from sandbox.slack.delivery.socket_mode import SocketMode
from sandbox.slack.workspace.models import Json
from sandbox.slack.workspace.workspace import World

EVENT_RETRY_SECONDS = (0.0, 60.0, 300.0)
KEPT = 1_000


@dataclass
class Delivered:
    """One delivery: the payload, the answer and the duration."""

    kind: str
    payload: Json
    answer: Answer
    seconds: float


class Delivery:
    """Delivers from the workspace to the app."""

    def __init__(
        self,
        world: World,
        socket_mode: SocketMode,
        http_mode: HttpMode,
        event_retries: Sequence[float] = EVENT_RETRY_SECONDS,
    ) -> None:
        self.world = world
        self.socket_mode = socket_mode
        self.http_mode = http_mode
        self.event_retries = event_retries
        self.record: deque[Delivered] = deque(maxlen=KEPT)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def send(self, kind: str, payload: Json, retry: int = 0, reason: str = "") -> Answer:
        """Deliver once: `slash_commands`, `interactive` or `events_api`."""
        mode = self.http_mode if self.http_mode.request_url else self.socket_mode
        started = asyncio.get_running_loop().time()
        answer = await mode.deliver(kind, payload, retry, reason)
        seconds = asyncio.get_running_loop().time() - started
        self.record.append(Delivered(kind, payload, answer, seconds))
        self.world.changed()
        return answer

    async def event(self, team_id: str, body: dict[str, Any]) -> Answer:
        """Deliver an event, if the app subscribes to its kind. Retries run in the background."""
        if body["type"] not in self.world.app.events:
            return Answer()
        payload = payloads.event(self.world, team_id, body)
        answer = await self.send("events_api", payload)
        if answer.error and self.event_retries:
            task = asyncio.create_task(self._again(payload, answer.reason), name="repeat a Slack event")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return answer

    async def _again(self, payload: Json, reason: str) -> None:
        for number, seconds in enumerate(self.event_retries, 1):
            await asyncio.sleep(seconds)
            answer = await self.send("events_api", payload, number, reason)
            if not answer.error:
                return
            reason = answer.reason

    async def close(self) -> None:
        """Cancel retries and close connections."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.socket_mode.close()
        await self.http_mode.close()
