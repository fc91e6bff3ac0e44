"""Composition root: opens the engine's services, the bot, the HTTP server and the workers, and closes them in order."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

from bot import source_fetchers
from bot.app import message_providers, register_listeners
from bot.features.home.publisher import HomePublisher
from bot.messages.limits import MessagingLimits
from bot.messages.log_notifier import LogNotifier
from bot.messages.reconciler import MessageReconciler
from bot.services import Services
from bot.slack import people_finder
from bot.slack.admins import AdminDirectory
from bot.slack.app_factory import INSTALL_PATH, build_app, open_workspaces
from bot.slack.connection import Say, SlackConnection
from bot.slack.mode import SlackMode, mode_of
from bot.supervisor import Part, supervise
from bot.web import server
from bot.web.server import Addresses
from bot.web.slack import EVENTS_PATH
from core import live
from core.automation.due_work import DueWork
from core.connections.audience_cache import AudienceCache
from core.connections.list_cache import ListCache
from core.engine import Engine
from core.notifications.dispatcher import Dispatcher
from core.runs import worker


def _silent(_line: str) -> None:
    """Print nothing."""


@asynccontextmanager
async def serving(engine: Engine, say: Say = _silent, pace: MessagingLimits | None = None) -> AsyncIterator[Services]:
    """Run the bot and its workers for the length of the block. At the end, work in progress stops and is recorded.

    `pace` sets how often Slack is updated. Yields the services, with the address of the HTTP server.

    Raises SettingsError if Slack's settings or tokens are wrong or the port is taken, before anything runs. If a
    service fails, `engine.stopping` is set, and the failure is raised at the end of the block.
    """
    settings = engine.settings
    mode = mode_of(settings)
    settings.check_firehose_token()
    async with AsyncExitStack() as stack:
        workspaces = await open_workspaces(engine)
        directory, audiences = ListCache(engine), AudienceCache(engine)
        stack.push_async_callback(directory.close)
        stack.push_async_callback(audiences.close)
        one_workspace = mode is not SlackMode.MANY
        services = Services(
            engine, directory, audiences, workspaces.clients, AdminDirectory(), one_workspace=one_workspace
        )
        if workspaces.installations is not None:
            stack.push_async_callback(workspaces.installations.rotation.finish)
        await source_fetchers.register(engine, workspaces.clients)
        if mode is not SlackMode.OFFLINE:
            people_finder.register(engine, workspaces.clients, services.groups)
        slack = None
        if mode is not SlackMode.OFFLINE:
            app = register_listeners(build_app(settings, mode, workspaces), services)
            slack = SlackConnection(engine, workspaces.clients, mode, app, services.home)
            await slack.look(say)
        if slack is not None:
            stack.push_async_callback(services.replies.finish)
            stack.push_async_callback(slack.listening.finish)
        addresses = await stack.enter_async_context(_listening(engine, slack))
        _introduce(mode, addresses, engine, say)
        parts: dict[str, Part] = {
            "worker": partial(worker.run_worker, engine, DueWork(engine)),
            "live worker": partial(live.work, engine),
            "dispatcher": Dispatcher(engine).run,
        }
        if slack is None:
            parts["log notifier"] = LogNotifier(engine, services.wake).run
        else:
            limits = pace or MessagingLimits()
            parts["message reconciler"] = MessageReconciler(services, message_providers(services, limits), limits).run
            parts["home pages"] = HomePublisher(services).run
            parts["connection to Slack"] = partial(slack.run, say)
        async with supervise(engine, **parts):
            if slack is not None:
                await slack.until_first_connected()
            yield replace(services, address=addresses.main)


def _listening(engine: Engine, slack: SlackConnection | None) -> AbstractAsyncContextManager[Addresses]:
    return server.listening(engine, None) if slack is None else server.listening(engine, slack.app, slack.health.state)


def _introduce(mode: SlackMode, addresses: Addresses, engine: Engine, say: Say) -> None:
    address = addresses.main
    if mode is SlackMode.OFFLINE:
        say("Slack: not configured; notifications go to the log.")
    elif mode is SlackMode.MANY:
        say(f"Slack: many workspaces; each installs the app at {address}{INSTALL_PATH} (or its public address).")
    if mode in (SlackMode.HTTP, SlackMode.MANY):
        say(f"Slack's requests go to {address}{EVENTS_PATH} (request URL and options URL).")
    if mode in (SlackMode.SOCKET, SlackMode.HTTP) and engine.settings.slack_client_id is not None:
        say("SLACK_CLIENT_ID is ignored: SLACK_BOT_TOKEN selects the mode for one workspace.")
    if addresses.metrics == address:
        say(f"HTTP server: {address} (health at /healthz and /readyz, metrics at /metrics).")
    else:
        say(f"HTTP server: {address} (health at /healthz).")
        say(f"Metrics server: {addresses.metrics} (metrics at /metrics, health at /readyz).")
    if engine.settings.firehose_token is not None:
        say(f"mParticle's Firehose: {address}/mparticle/firehose/<token>.")
    say(f"Worker: {engine.presence.id}.")
