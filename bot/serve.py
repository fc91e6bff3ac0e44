"""The process: the bot, a worker, and what follows runs, opened and closed in one place."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from pydantic import SecretStr
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp

from bot.app import register
from bot.clients import Clients
from bot.live.follower import Follower
from bot.people import People
from bot.runs.files import SLACK_FILE, SlackFiles
from bot.services import Services
from core import control, workflows
from core.directory import Directory
from core.engine import Engine


@asynccontextmanager
async def serving(engine: Engine) -> AsyncIterator[Services]:
    """Run the bot with its worker for the length of the block. At the end, what is under way stops and is recorded.

    An error of a part that runs beside (which none should have) is raised at the end of the block.
    """
    settings = engine.settings
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(workflows.durable(engine))
        clients = Clients(settings.slack_api_url, _value(settings.slack_bot_token), None)
        directory = Directory(engine)
        stack.push_async_callback(directory.close)
        services = Services(engine, directory, clients, People(), one_workspace=True)
        engine.fetchers[control.REJECTED] = lambda address, folder: control.write_rejected(engine, address, folder)
        engine.fetchers[SLACK_FILE] = SlackFiles(clients).fetch
        app = register(AsyncApp(client=clients.with_token(_value(settings.slack_bot_token))), services)
        handler = AsyncSocketModeHandler(app, _value(settings.slack_app_token))
        await handler.connect_async()  # type: ignore[no-untyped-call]
        stack.push_async_callback(handler.close_async)
        async with _beside(engine, worker=workflows.work(engine), follower=Follower(services).run()):
            yield services


@asynccontextmanager
async def _beside(engine: Engine, **work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run work beside the block, and ask it to stop at the block's end."""
    async with asyncio.TaskGroup() as group:
        for name, each in work.items():
            group.create_task(each, name=name)
        try:
            yield
        finally:
            engine.stopping.set()


def _value(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
