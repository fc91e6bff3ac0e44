"""The page's own API under `/_page`, and its static files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from sandbox.slack.browser.actions import ACTIONS
from sandbox.slack.browser.snapshot import snapshot
from sandbox.slack.delivery.dispatcher import Delivery
from sandbox.slack.errors import SlackError
from sandbox.slack.users import composing
from sandbox.slack.web_api.endpoint import respond
from sandbox.slack.web_api.files import new_file
from sandbox.slack.workspace.models import User
from sandbox.slack.workspace.view_state import NotPossibleError
from sandbox.slack.workspace.workspace import World

STATIC = Path(__file__).parent.parent / "static"
CALM_SECONDS = 0.03  # changes within this time are sent as one event


def add_routes(app: web.Application, world: World, delivery: Delivery) -> None:
    """Add the page to the server."""
    page = _Page(world, delivery)
    app.router.add_get("/", page.index)
    app.router.add_static("/static", STATIC)
    app.router.add_get("/archives/{channel}/p{number:[0-9]+}", page.permalink)
    app.router.add_get("/_page/state", page.state)
    app.router.add_get("/_page/events", page.events)
    app.router.add_post("/_page/act", page.act)
    app.router.add_post("/_page/upload", page.upload)
    app.router.add_get("/_page/files/{file}", page.file)


class _Page:
    def __init__(self, world: World, delivery: Delivery) -> None:
        self.world = world
        self.delivery = delivery

    async def index(self, request: web.Request) -> web.StreamResponse:
        """Return the page."""
        return web.FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def permalink(self, request: web.Request) -> web.StreamResponse:
        """Redirect a message's address to the page."""
        number = request.match_info["number"]
        raise web.HTTPFound(f"/#{request.match_info['channel']}/{number[:-6]}.{number[-6:]}")

    async def state(self, request: web.Request) -> web.Response:
        """Return what one person sees."""
        connections = len(self.delivery.socket_mode.connections)
        if self.delivery.http_mode.request_url:
            connections = 1
        user = self._user(request.query.get("as", ""))
        return respond(snapshot(self.world, user, request.query.get("channel"), connections))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream the number of the latest change as server-sent events."""
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await stream.prepare(request)
        version = self.world.version
        await stream.write(f"data: {version}\n\n".encode())
        while True:
            version = await self.world.next_change(version)
            await asyncio.sleep(CALM_SECONDS)
            version = self.world.version
            try:
                await stream.write(f"data: {version}\n\n".encode())
            except ConnectionError:
                return stream

    async def act(self, request: web.Request) -> web.Response:
        """Perform a person's action."""
        body: dict[str, Any] = await request.json()
        user = self._user(body["as"])
        try:
            answer = await ACTIONS[body["do"]](self.delivery, user, body)
        except NotPossibleError as error:
            return respond({"ok": False, "shown": str(error)})
        except SlackError as error:
            return respond({"ok": False, "shown": error.error})
        self.world.changed()
        return respond(answer)

    async def upload(self, request: web.Request) -> web.Response:
        """Upload a file for a conversation, or (without one) for an input of a modal."""
        query = request.query
        user = self._user(query["as"])
        content = await request.read()
        channel = self.world.channels.get(query.get("channel", ""))
        if channel is None:
            file = new_file(self.world, user, query["name"], content)
            file.for_app = True
        else:
            message = composing.upload(
                self.world,
                user,
                channel,
                query["name"],
                content,
                query.get("comment", ""),
                query.get("thread_ts") or None,
            )
            file = message.files[0]
        return respond(file.as_json())

    async def file(self, request: web.Request) -> web.Response:
        """Return a file's bytes to people who can see it."""
        file = self.world.files.get(request.match_info["file"])
        user = self._user(request.query.get("as", ""))
        seen = file is not None and (
            file.user == user.id
            or any(user.id in self.world.channels[channel_id].members for channel_id in file.channels)
        )
        if file is None or not seen:
            return web.Response(status=404, text="There is no such file for you.")
        disposition = f"attachment; filename*=UTF-8''{quote(file.name)}"
        return web.Response(
            body=file.content,
            content_type=file.mimetype,
            headers={"Content-Disposition": disposition},
        )

    def _user(self, user_id: str) -> User:
        return self.world.users.get(user_id) or self.world.people()[0]
