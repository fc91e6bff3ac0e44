"""The HTTP server: Slack's requests (HTTP mode, OAuth), mParticle's Firehose, health, metrics."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.slack.mode import SlackMode, mode_of
from bot.web import firehose, health, metrics
from core.engine import Engine
from core.errors import SettingsError
from core.settings import Settings

#: The request URL of commands, events and interactivity, and the options URL.
EVENTS_PATH = "/slack/events"
# How long a request may take to end when the server stops, in seconds.
GRACE_S = 3.0


def application(engine: Engine, app: AsyncApp | None) -> web.Application:
    """The routes. Those of Slack are there where Slack sends requests to us."""
    server = web.Application()
    for part in (health, metrics, firehose):
        part.add_routes(server, engine)
    if app is not None and mode_of(engine.settings) in (SlackMode.HTTP, SlackMode.MANY):
        _add_slack(server, app)
    return server


@asynccontextmanager
async def listening(engine: Engine, app: AsyncApp | None) -> AsyncIterator[str]:
    """Listen for the length of the block; gives the address. Raises SettingsError where the port can't be had."""
    settings = engine.settings
    runner = web.AppRunner(application(engine, app), access_log=None, shutdown_timeout=GRACE_S)
    await runner.setup()
    try:
        await _bind(runner, settings)
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def _bind(runner: web.AppRunner, settings: Settings) -> None:
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
        raise SettingsError(
            f"The HTTP server can't listen at {settings.host}, port {settings.port} ({why}). Set ITERABLE_SYNC_PORT to "
            "a port that is free (0 takes any), or ITERABLE_SYNC_HOST to an address of this machine."
        ) from error


def _add_slack(server: web.Application, app: AsyncApp) -> None:
    server.router.add_post(EVENTS_PATH, _answered_by(app.async_dispatch))
    if app.oauth_flow is not None:
        server.router.add_get(app.oauth_flow.install_path, _answered_by(app.oauth_flow.handle_installation))
        server.router.add_get(app.oauth_flow.redirect_uri_path, _answered_by(app.oauth_flow.handle_callback))


def _answered_by(
    answer: Callable[[AsyncBoltRequest], Awaitable[BoltResponse]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await answer(await to_bolt_request(request)))

    return handle
