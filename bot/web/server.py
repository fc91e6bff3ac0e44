"""The HTTP server: Slack's requests (HTTP mode, OAuth), mParticle's Firehose, health checks, metrics."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from slack_bolt.async_app import AsyncApp

from bot.slack.mode import SlackMode, mode_of
from bot.web import firehose, health, metrics, slack
from core.engine import Engine
from core.errors import SettingsError
from core.settings import Settings

# How long requests may take to finish when the server stops, in seconds.
GRACE_S = 3.0
# How long a connection may stay open without a whole request, in seconds. (aiohttp's own limit is an hour.)
IDLE_S = 75.0


def application(engine: Engine, app: AsyncApp | None) -> web.Application:
    """Return the application with its routes. Slack's routes exist only in the modes in which Slack sends requests."""
    server = web.Application()
    for part in (health, metrics, firehose):
        part.add_routes(server, engine)
    if app is not None and mode_of(engine.settings) in (SlackMode.HTTP, SlackMode.MANY):
        slack.add_routes(server, app, _secret(engine.settings))
    return server


def _secret(settings: Settings) -> str:
    assert settings.slack_signing_secret is not None  # both modes need it
    return settings.slack_signing_secret.get_secret_value()


@asynccontextmanager
async def listening(engine: Engine, app: AsyncApp | None) -> AsyncIterator[str]:
    """Serve for the length of the block, and yield the URL. Raises SettingsError if the port is not available."""
    settings = engine.settings
    runner = web.AppRunner(
        application(engine, app),
        access_log=None,
        shutdown_timeout=GRACE_S,
        keepalive_timeout=IDLE_S,
        lingering_time=GRACE_S,
    )
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
