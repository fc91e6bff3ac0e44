"""A running local Slack: `async with running() as slack`, with the methods that tests use."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from aiohttp import web

from sandbox.slack.browser.mparticle import Player
from sandbox.slack.delivery.dispatcher import EVENT_RETRY_SECONDS, Delivery
from sandbox.slack.delivery.http_mode import HttpMode
from sandbox.slack.delivery.socket_mode import SocketMode
from sandbox.slack.faults import Faults
from sandbox.slack.rate_limits import Rates
from sandbox.slack.server import application
from sandbox.slack.text_renderer import render_text
from sandbox.slack.users import administration
from sandbox.slack.users.user_driver import WAIT_SECONDS, Person
from sandbox.slack.workspace.app import App
from sandbox.slack.workspace.grants import Call
from sandbox.slack.workspace.models import Channel, Message, User
from sandbox.slack.workspace.outsiders import add_outsiders
from sandbox.slack.workspace.sample_workspaces import FIRST_TEAM, sample_world
from sandbox.slack.workspace.view_state import NotPossibleError
from sandbox.slack.workspace.workspace import World

T = TypeVar("T")
ACK_SECONDS = 3.0
SHUTDOWN_SECONDS = 0.2


class Slack:
    """The workspace for tests: addresses and secrets for the bot, people who act, and methods to wait."""

    def __init__(self, world: World, faults: Faults, rates: Rates, delivery: Delivery) -> None:
        self.mparticle = Player(world)
        self.world = world
        self.faults = faults
        self.rates = rates
        self.delivery = delivery

    # -- settings for the bot -------------------------------------------------------------------

    @property
    def page_url(self) -> str:
        """The page for the browser."""
        return f"{self.world.base_url}/"

    @property
    def api_url(self) -> str:
        """SLACK_API_URL."""
        return f"{self.world.base_url}/api/"

    @property
    def authorize_url(self) -> str:
        """The install page, for Bolt's `authorization_url`."""
        return f"{self.world.base_url}/oauth/v2/authorize"

    @property
    def bot_token(self) -> str:
        """SLACK_BOT_TOKEN, of the first workspace."""
        return self.world.installs[FIRST_TEAM].token

    @property
    def app_token(self) -> str:
        """SLACK_APP_TOKEN."""
        return self.world.app.app_token

    @property
    def signing_secret(self) -> str:
        """SLACK_SIGNING_SECRET."""
        return self.world.app.signing_secret

    @property
    def client_id(self) -> str:
        """SLACK_CLIENT_ID."""
        return self.world.app.client_id

    @property
    def client_secret(self) -> str:
        """SLACK_CLIENT_SECRET."""
        return self.world.app.client_secret

    def environment(self, http: bool = False) -> dict[str, str]:
        """Return the environment variables for a bot in one workspace, over Socket Mode or HTTP."""
        shared = {"SLACK_API_URL": self.api_url, "SLACK_BOT_TOKEN": self.bot_token}
        if http:
            return shared | {"SLACK_SIGNING_SECRET": self.signing_secret}
        return shared | {"SLACK_APP_TOKEN": self.app_token}

    def add_outsiders(self) -> None:
        """Add people who are not members of the first workspace: see `workspace/outsiders.py`."""
        add_outsiders(self.world)

    def use_mparticle(self, address: str, settings: Mapping[str, str]) -> None:
        """Enable mParticle in the panel: its messages go to this address, with these account settings."""
        self.mparticle.use(address, settings)

    def use_http(self, request_url: str, options_url: str | None = None) -> None:
        """From now on, deliver to this request URL instead of over Socket Mode."""
        self.delivery.http_mode.request_url = request_url
        self.delivery.http_mode.options_url = options_url

    # -- people and messages --------------------------------------------------------------------

    def person(self, name: str) -> Person:
        """Return a person (or a bot that clicks) by name or id. Raises NotPossibleError if there is none."""
        for user in self.world.users.values():
            if name in (user.name, user.id):
                return Person(self, user)
        raise NotPossibleError(f"there is no person called {name!r}")

    @property
    def marketer(self) -> Person:
        """Maya, who runs campaigns."""
        return self.person("maya")

    @property
    def approver(self) -> Person:
        """Amir, who approves."""
        return self.person("amir")

    @property
    def operator(self) -> Person:
        """Oksana, who keeps things running."""
        return self.person("oksana")

    @property
    def admin(self) -> Person:
        """Ada, who administers the workspace."""
        return self.person("ada")

    def channel(self, channel: Channel | str, seen_by: User | None = None) -> Channel:
        """Return a conversation by name or id; `dm` is the person's own with the bot."""
        if isinstance(channel, Channel):
            return channel
        if channel == "dm" and seen_by:
            return self.world.direct_message(seen_by)
        team = seen_by.app_team_id if seen_by else FIRST_TEAM
        for known in self.world.channels.values():
            if channel == known.id or (known.name == channel.lstrip("#") and known.team_id == team):
                return known
        raise NotPossibleError(f"there is no channel {channel!r}")

    def messages(
        self, channel: Channel | str, reader: Person | None = None, thread: Message | None = None
    ) -> list[Message]:
        """Return the messages of a conversation in order; ephemeral ones only for their reader."""
        messages = self.channel(channel, reader.user if reader else None).messages
        return [
            message
            for message in messages
            if (message.only_for is None or (reader and message.only_for == reader.id))
            and (thread is None or thread.ts in (message.ts, message.thread_ts))
        ]

    def calls(self, method: str) -> list[Call]:
        """Return the Web API requests for a method, in order."""
        return [call for call in self.world.calls if call.method == method]

    def render(self, content: Any) -> str:
        """Return a message or view as plain text, with names instead of ids."""
        return render_text(content, self.world)

    # -- waiting --------------------------------------------------------------------------------

    async def wait_for(
        self,
        predicate: Callable[[], T | None],
        timeout: float = WAIT_SECONDS,  # noqa: ASYNC109 - part of the driver's vocabulary
        description: str = "",
    ) -> T:
        """Return the predicate's value as soon as it is true; it is evaluated again after each change of the workspace.

        If it depends on something else, the code that changes that calls `slack.world.changed()`.
        """
        async with self._in_time(timeout, description or _source(predicate)):
            while True:
                version = self.world.version
                value = predicate()
                if value:
                    return value
                await self.world.next_change(version)
        raise AssertionError

    @contextlib.asynccontextmanager
    async def _in_time(self, seconds: float, description: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise TimeoutError(f"not within {seconds:g} s: {description}") from None

    async def wait_for_message(
        self,
        channel: Channel | str,
        text: str = "",
        *,
        reader: Person | None = None,
        thread: Message | None = None,
        timeout: float = WAIT_SECONDS,  # noqa: ASYNC109 - part of the driver's vocabulary
    ) -> Message:
        """Wait for a message of the app whose rendered text contains `text`, and return the latest."""

        def find_message() -> Message | None:
            seen = [message for message in self.messages(channel, reader, thread) if message.bot_id]
            return next((message for message in reversed(seen) if text in self.render(message)), None)

        return await self.wait_for(find_message, timeout, f"a message with {text!r} in {channel}")

    async def wait_connected(self, connections: int = 1, timeout: float = WAIT_SECONDS) -> None:  # noqa: ASYNC109 - part of the driver's vocabulary
        """Wait until the bot has this many Socket Mode connections."""
        sockets = self.delivery.socket_mode
        await self.wait_for(lambda: len(sockets.connections) >= connections, timeout, "a Socket Mode connection")

    # -- making things happen -------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Advance Slack's clock, to expire triggers, response_urls and codes."""
        self.world.advance(seconds)

    async def drop_sockets(self) -> None:
        """Drop every Socket Mode connection without a close frame."""
        await self.delivery.socket_mode.drop()

    def deafen_sockets(self) -> None:
        """Lose every envelope on the present Socket Mode connections, which stay up otherwise."""
        self.delivery.socket_mode.deafen()

    async def refresh_sockets(self, reason: str = "refresh_requested") -> None:
        """Ask every Socket Mode connection to reconnect."""
        await self.delivery.socket_mode.refresh(reason)

    async def uninstall(self, team_id: str = FIRST_TEAM, tokens_first: bool = False) -> None:
        """Remove the app from a workspace."""
        await administration.uninstall(self.delivery, team_id, tokens_first)

    async def revoke_tokens(self, team_id: str = FIRST_TEAM) -> None:
        """Revoke the bot's token without removing the app."""
        await administration.revoke_tokens(self.delivery, team_id)


@contextlib.asynccontextmanager
async def running(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    manifest: Mapping[str, Any] | None = None,
    scopes: Iterable[str] | None = None,
    request_url: str | None = None,
    options_url: str | None = None,
    rate_limits: bool = False,
    ack_timeout: float = ACK_SECONDS,
    event_retries: Sequence[float] = EVENT_RETRY_SECONDS,
    iterable_url: str | None = None,
) -> AsyncIterator[Slack]:
    """Run a local Slack in this event loop.

    `manifest` is the app's manifest, parsed; without one there is `/iterable-sync`, a message shortcut
    `sync-to-iterable` and the usual scopes, which `scopes` replaces. `request_url` switches from Socket
    Mode to HTTP. `iterable_url` is a local Iterable whose lists and switches the page shows, too.
    """
    listening = socket.create_server((host, port))
    app = App.from_manifest(manifest) if manifest else App()
    if scopes is not None:
        app.scopes = tuple(scopes)
    world = sample_world(app, f"http://{host}:{listening.getsockname()[1]}")
    # a longer time to acknowledge a command also applies to its trigger
    world.trigger_seconds = max(world.trigger_seconds, ack_timeout)
    faults, rates = Faults(), Rates(rate_limits)
    sockets = SocketMode(world, faults, ack_timeout)
    delivery = Delivery(world, sockets, HttpMode(app.signing_secret, ack_timeout), event_retries)
    slack = Slack(world, faults, rates, delivery)
    if request_url:
        slack.use_http(request_url, options_url)
    runner = web.AppRunner(
        application(world, faults, rates, delivery, iterable_url, slack.mparticle, host),
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield slack
    finally:
        await delivery.close()
        await runner.cleanup()


def _source(predicate: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(predicate).strip()
    except (OSError, TypeError):
        return repr(predicate)
