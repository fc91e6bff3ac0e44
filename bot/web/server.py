"""The HTTP server: the API, Slack's requests (HTTP mode, OAuth), mParticle's Firehose, health checks, metrics."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from slack_bolt.async_app import AsyncApp

from bot.slack.mode import SlackMode, mode_of
from bot.web import firehose, health, metrics, request_ids, slack
from bot.web.api import router
from core.engine import Engine
from core.errors import SettingsError
from core.settings import Settings

# How long requests may take to finish when the server stops, in seconds.
GRACE_S = 3.0
# How long a connection may stay open without a whole request, in seconds. (aiohttp's own limit is an hour.)
IDLE_S = 75.0

#: Returns the check of Slack for `/readyz`, if there is one.
SlackCheck = Callable[[], dict[str, str]]


@dataclass(frozen=True, slots=True)
class Addresses:
    """The URLs of the HTTP server, and of `/metrics` and `/readyz`."""

    main: str
    metrics: str


def application(engine: Engine, app: AsyncApp | None, health_of_slack: SlackCheck = dict) -> web.Application:
    """Return the application with its routes. Slack's routes exist only in the modes in which Slack sends requests.

    `/metrics` and `/readyz` are left out if they have an address of their own. `health_of_slack` returns the check of
    Slack for `/readyz`.
    """
    server = web.Application(middlewares=[request_ids.identified])
    health.add_liveness(server)
    if engine.settings.metrics_port is None:
        _add_metrics(server, engine, health_of_slack)
    firehose.add_routes(server, engine)
    router.add_routes(server, engine, one_workspace=mode_of(engine.settings) is not SlackMode.MANY)
    if app is not None and mode_of(engine.settings) in (SlackMode.HTTP, SlackMode.MANY):
        slack.add_routes(server, app, _secret(engine.settings))
    return server


def _add_metrics(server: web.Application, engine: Engine, health_of_slack: SlackCheck) -> None:
    health.add_readiness(server, engine, health_of_slack)
    metrics.add_routes(server, engine)


def _secret(settings: Settings) -> str:
    assert settings.slack_signing_secret is not None  # both modes need it
    return settings.slack_signing_secret.get_secret_value()


@asynccontextmanager
async def listening(
    engine: Engine, app: AsyncApp | None, health_of_slack: SlackCheck = dict
) -> AsyncIterator[Addresses]:
    """Serve for the length of the block, and yield the URLs. Raises SettingsError if a port is not available."""
    settings = engine.settings
    async with AsyncExitStack() as stack:
        main = await stack.enter_async_context(
            _serving(application(engine, app, health_of_slack), settings.host, settings.port, "ITERABLE_SYNC")
        )
        if settings.metrics_port is None:
            yield Addresses(main, main)
            return
        watched = web.Application()
        _add_metrics(watched, engine, health_of_slack)
        own = await stack.enter_async_context(
            _serving(watched, settings.metrics_host, settings.metrics_port, "ITERABLE_SYNC_METRICS")
        )
        yield Addresses(main, own)


@asynccontextmanager
async def _serving(server: web.Application, host: str, port: int, setting: str) -> AsyncIterator[str]:
    """Serve an application, and yield its URL. `setting`: the prefix of the settings of its address."""
    runner = web.AppRunner(
        server, access_log=None, shutdown_timeout=GRACE_S, keepalive_timeout=IDLE_S, lingering_time=GRACE_S
    )
    await runner.setup()
    try:
        await _bind(runner, host, port, setting)
        address, bound = runner.addresses[0][:2]
        yield f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}"
    finally:
        await runner.cleanup()


async def _bind(runner: web.AppRunner, host: str, port: int, setting: str) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
        raise SettingsError(
            f"The HTTP server can't listen at {host}, port {port} ({why}). Set {setting}_PORT to a port that is free "
            f"(0 takes any), or {setting}_HOST to an address of this machine."
        ) from error
