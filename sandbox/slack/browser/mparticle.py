"""The panel's mParticle: connects an audience, streams its changes and disconnects it, at a Firehose endpoint."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from sandbox.mparticle import Audience, MParticle, RefusedError
from sandbox.mparticle.scenario import play_story
from sandbox.slack.web_api.endpoint import respond
from sandbox.slack.workspace.workspace import World

#: The sample audience. Its settings name no list: a person chooses it in Slack.
AUDIENCE = Audience(8761, "Summer Sale Shoppers")
#: How many profiles join, how many of them leave again, and the changes per second.
MEMBERS, LEAVE, RATE = 200, 20, 25.0
LINES_SHOWN = 6
ATTEMPTS = 3


class Player:
    """Acts as mParticle when a person presses a button; does nothing until it has an endpoint."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._address: str | None = None
        self._settings: Mapping[str, str] = {}
        self._lines: deque[str] = deque(maxlen=LINES_SHOWN)
        self._task: asyncio.Task[None] | None = None

    def use(self, address: str, settings: Mapping[str, str]) -> None:
        """Send to this endpoint from now on, with these settings from mParticle's form."""
        self._address, self._settings = address, settings
        self._world.changed()

    def as_json(self) -> dict[str, Any] | None:
        """Return what the panel shows, or None without an endpoint."""
        if self._address is None:
            return None
        return {"audience": AUDIENCE.name, "playing": self._is_playing, "lines": list(self._lines)}

    def add_routes(self, app: web.Application) -> None:
        """Add the buttons to the server."""
        app.router.add_post("/_sandbox/mparticle/{do:play|disconnect}", self._pressed)
        app.on_cleanup.append(self._close)

    @property
    def _is_playing(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _pressed(self, request: web.Request) -> web.Response:
        if self._address is None:
            return respond({"error": "there is no endpoint for mParticle's messages"}, 404)
        if not self._is_playing:
            action = self._play if request.match_info["do"] == "play" else self._disconnect
            self._task = asyncio.create_task(self._safely(self._address, action), name="mParticle")
        return respond({"mparticle": self.as_json()})

    async def _safely(self, address: str, action: Callable[[MParticle], Awaitable[None]]) -> None:
        self._world.changed()
        try:
            async with MParticle(address, settings=self._settings, attempts=ATTEMPTS) as player:
                await action(player)
        except RefusedError as error:
            self._say(f"A message was not accepted ({error}).")
        finally:
            asyncio.get_running_loop().call_soon(self._world.changed)  # after this task has ended

    async def _play(self, player: MParticle) -> None:
        await play_story(player, AUDIENCE, self._say, members=MEMBERS, leave=LEAVE, rate=RATE)

    async def _disconnect(self, player: MParticle) -> None:
        await player.disconnect(AUDIENCE)
        self._say(f"Disconnected audience {AUDIENCE.name}.")

    def _say(self, line: str) -> None:
        self._lines.append(line)
        self._world.changed()

    async def _close(self, _app: web.Application) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
