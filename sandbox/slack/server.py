"""The routes: Web API, Socket Mode, files, response_urls, the install page, and the page for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from sandbox.slack import oauth, response_urls
from sandbox.slack.browser import routes
from sandbox.slack.browser.control_panel import Panel
from sandbox.slack.browser.mparticle import Player
from sandbox.slack.browser.same_site import same_site
from sandbox.slack.delivery.dispatcher import Delivery
from sandbox.slack.faults import LOST_ANSWER, Faults
from sandbox.slack.rate_limits import Rates
from sandbox.slack.web_api import files
from sandbox.slack.web_api.endpoint import WebApi, strike
from sandbox.slack.workspace.workspace import World

MOST_BYTES = 1024**3


def application(
    world: World,
    faults: Faults,
    rates: Rates,
    delivery: Delivery,
    iterable_url: str | None = None,
    mparticle: Player | None = None,
    host: str = "127.0.0.1",
) -> web.Application:
    """Return the server of a local Slack, which listens on `host`."""
    api = WebApi(world, faults, rates, delivery.socket_mode)

    def with_faults(
        name: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def wrapped(request: web.Request) -> web.StreamResponse:
            world.asked.add(name)
            fault = faults.strike(name, {})
            if fault and fault.kind != LOST_ANSWER:
                world.changed()  # no other change announces a request without an answer
                return await strike(fault)
            response = await handler(request)
            if fault and request.transport:
                request.transport.abort()
            return response

        return wrapped

    async def upload(request: web.Request) -> web.StreamResponse:
        return await files.upload(world, request)

    async def download(request: web.Request) -> web.StreamResponse:
        return files.download(world, request)

    async def login(request: web.Request) -> web.StreamResponse:
        return files.login(request)

    async def response_url(request: web.Request) -> web.StreamResponse:
        return await response_urls.handle(world, request)

    app = web.Application(client_max_size=MOST_BYTES, middlewares=[same_site(host)])
    app.router.add_route("*", "/api/{method}", api.handle)
    app.router.add_get("/link", delivery.socket_mode.link)
    app.router.add_post("/upload/v1/{ticket}", with_faults("upload", upload))
    app.router.add_get("/files-pri/{team}-{file:F[0-9A-Z]+}/download/{name}", with_faults("download", download))
    app.router.add_get("/login", login)
    app.router.add_post("/response/{id}", with_faults("response_url", response_url))
    oauth.add_routes(app, world)
    routes.add_routes(app, world, delivery)
    Panel(world, faults, rates, delivery.socket_mode, iterable_url, mparticle or Player(world)).add_routes(app)
    return app
