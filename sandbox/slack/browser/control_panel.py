"""The control panel of the page, under `/_sandbox`: Slack's faults, a proxy to the local Iterable, mParticle."""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp import web

from sandbox.slack.browser.mparticle import Player
from sandbox.slack.delivery.socket_mode import SocketMode
from sandbox.slack.faults import Faults
from sandbox.slack.rate_limits import Rates
from sandbox.slack.web_api.endpoint import respond
from sandbox.slack.workspace.workspace import World

CALLS_SHOWN = 15
PROXY_SECONDS = 5.0


class Panel:
    """The routes of the panel's switches and figures."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        rates: Rates,
        socket_mode: SocketMode,
        iterable_url: str | None,
        mparticle: Player,
    ) -> None:
        self.world = world
        self.faults = faults
        self.rates = rates
        self.socket_mode = socket_mode
        self.iterable_url = iterable_url.rstrip("/") if iterable_url else None
        self.mparticle = mparticle

    def add_routes(self, app: web.Application) -> None:
        """Add the panel to the server."""
        app.router.add_get("/_sandbox/slack", self.slack)
        app.router.add_post("/_sandbox/slack/faults", self.add_fault)
        app.router.add_delete("/_sandbox/slack/faults", self.clear_faults)
        app.router.add_delete(r"/_sandbox/slack/faults/{id:\d+}", self.remove_fault)
        app.router.add_post("/_sandbox/slack/sockets/{do:drop|refresh}", self.sockets)
        app.router.add_post("/_sandbox/slack/rates", self.set_rates)
        self.mparticle.add_routes(app)
        app.router.add_route("*", "/_sandbox/iterable{tail:.*}", self.iterable)

    async def slack(self, request: web.Request) -> web.Response:
        """Return Slack's switches and latest requests."""
        calls = list(self.world.calls)[-CALLS_SHOWN:]
        return respond(
            {
                "faults": [fault.as_json() for fault in self.faults.active],
                "rates": self.rates.enforced,
                "connections": len(self.socket_mode.connections),
                "iterable": self.iterable_url is not None,
                "mparticle": self.mparticle.as_json(),
                "calls": [
                    {"method": call.method, "status": call.status, "error": call.answer.get("error", ""), "at": call.at}
                    for call in reversed(calls)
                ],
            }
        )

    async def add_fault(self, request: web.Request) -> web.Response:
        """Turn a fault on: the fields of `sandbox.slack.faults.Fault`."""
        fields: dict[str, Any] = await request.json()
        try:
            self.faults.add(**fields)
        except TypeError as error:
            return respond({"ok": False, "error": str(error)}, 400)
        self.world.changed()
        return await self.slack(request)

    async def remove_fault(self, request: web.Request) -> web.Response:
        """Turn a fault off."""
        self.faults.remove(int(request.match_info["id"]))
        self.world.changed()
        return await self.slack(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Turn all faults off."""
        self.faults.clear()
        self.world.changed()
        return await self.slack(request)

    async def sockets(self, request: web.Request) -> web.Response:
        """Drop or refresh the app's connections."""
        if request.match_info["do"] == "drop":
            await self.socket_mode.drop()
        else:
            await self.socket_mode.refresh()
        return await self.slack(request)

    async def set_rates(self, request: web.Request) -> web.Response:
        """Turn the rate limits on or off: {enforced}."""
        fields: dict[str, Any] = await request.json()
        self.rates.enforced = bool(fields.get("enforced"))
        self.world.changed()
        return await self.slack(request)

    async def iterable(self, request: web.Request) -> web.Response:
        """Pass a request on to the control API of the local Iterable."""
        if self.iterable_url is None:
            return respond({"error": "no local Iterable was named"}, 404)
        url = f"{self.iterable_url}/_sandbox{request.match_info['tail']}"
        timeout = aiohttp.ClientTimeout(total=PROXY_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(request.method, url, params=request.query, data=await request.read()) as answer,
            ):
                return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)
        except (aiohttp.ClientError, TimeoutError):
            return respond({"error": "the local Iterable doesn't answer"}, 502)
