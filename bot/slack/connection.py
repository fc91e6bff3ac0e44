"""The connection between Slack and the app: checks the tokens, connects as soon as Slack is reachable, and
reconnects."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient

from bot.slack import preflight
from bot.slack.access_gate import HomeWorkspace
from bot.slack.app_factory import value_of
from bot.slack.clients import Clients
from bot.slack.listener_tracker import ListenerTracker
from bot.slack.mode import SlackMode
from bot.slack.preflight import SlackUnreachableError
from bot.slack.socket_health import SocketHealth
from bot.supervisor import first_of
from core import network
from core.connections import offboarding
from core.engine import Engine
from core.errors import SyncError
from core.store.database_errors import DATABASE_FAULTS

# How long the start of the process waits for the first connection, in seconds. After that it connects in the
# background.
FIRST_CONNECTION_S = 5.0
# The wait before Slack is tried again if it was unreachable, in seconds.
TRY_AGAIN_S = 5.0

# How often the connection is checked, and how long it may be down before the log reports it (both in seconds).
LOOK_EVERY_S = 5.0
TELL_AFTER_S = 20.0

logger = logging.getLogger(__name__)

#: Prints a line for the person who started the process.
Say = Callable[[str], None]


class SlackConnection:
    """Connects Slack with an app, in any mode except offline."""

    def __init__(self, engine: Engine, clients: Clients, mode: SlackMode, app: AsyncApp, home: HomeWorkspace) -> None:
        """Take the app with its listeners. `home` gets the id of the one workspace from auth.test. No I/O."""
        self._home = home
        self.app = app
        self.listening = ListenerTracker(app)
        self.health = SocketHealth()
        self._engine = engine
        self._client = clients.with_token(value_of(engine.settings.slack_bot_token))
        self._app_token = value_of(engine.settings.slack_app_token) or ""
        self._mode = mode
        self._seen = mode is SlackMode.MANY  # the tokens come with the installations
        self._connected = asyncio.Event()

    async def look(self, say: Say) -> None:
        """Check the tokens. Raises SettingsError if Slack rejects one; prints a line if Slack is unreachable."""
        try:
            await self._look(say)
        except SlackUnreachableError as error:
            say(f"{error.message}. Retrying every {TRY_AGAIN_S:.0f} seconds; everything else runs meanwhile.")

    async def until_first_connected(self) -> None:
        """Wait for the first connection, if Slack is reachable and the mode is Socket Mode."""
        if self._seen and self._mode is SlackMode.SOCKET:
            await _within(FIRST_CONNECTION_S, self._connected)

    async def run(self, say: Say) -> None:
        """Connect as soon as Slack can be reached, and stay connected until the engine is stopping."""
        stopping = self._engine.stopping
        while not self._seen:
            if await _within(TRY_AGAIN_S, stopping):
                return
            try:
                await self._look(say)
            except SlackUnreachableError:
                continue
            except DATABASE_FAULTS:
                logger.warning("could not read the workspace from the database", exc_info=True)
        if self._mode is not SlackMode.SOCKET:
            await stopping.wait()
            return
        # The first connection may take long, and must not delay stopping.
        await first_of(self._stay_connected(), stopping.wait())

    async def _look(self, say: Say) -> None:
        if self._seen:
            return
        identity = await preflight.fetch_bot_identity(self._client)
        if self._mode is SlackMode.SOCKET:
            await preflight.check_app_token(self._client, self._app_token)
        await offboarding.restore_workspace(self._engine, identity.team_id)
        self._seen = True
        self._home.team_id = identity.team_id
        how = "Socket Mode" if self._mode is SlackMode.SOCKET else "HTTP mode"
        say(f'Slack: workspace "{identity.team}" as @{identity.user}, {how}.')
        if identity.missing_scopes:
            say(f"Some features will not work: {preflight.lacks(identity)}")

    async def _stay_connected(self) -> None:
        async with connected(self.app, self._app_token) as client:
            self.health.watch(client)
            try:
                await self._watch(client)
            finally:
                self.health.close()

    async def _watch(self, client: SocketModeClient) -> None:
        lost_at, is_reported = 0.0, False
        while True:
            reason = await self.health.look(client)
            self._connected.set()
            if reason is not None:
                logger.info("replacing the connection to Slack (%s)", reason)
                await self.health.replace(client, reason)
            if self.health.is_token_due():
                await self._check_token()
            await asyncio.sleep(LOOK_EVERY_S)
            is_connected, now = await client.is_connected(), time.monotonic()
            if is_connected and is_reported:
                logger.warning("reconnected to Slack")
            if not is_connected:
                # slack-sdk would retry this URL forever, but Slack accepts it for seconds only
                client.wss_uri = None
            lost_at, is_reported = (0.0, False) if is_connected else (lost_at or now, is_reported)
            if not is_connected and not is_reported and now - lost_at >= TELL_AFTER_S:
                logger.warning("lost the connection to Slack, reconnecting: %s", await self._why())
                is_reported = True

    async def _check_token(self) -> None:
        """Call auth.test, which also keeps a quiet connection from going deaf. Reports a token that Slack refuses."""
        try:
            await preflight.fetch_bot_identity(self._client)
        except SlackUnreachableError as error:
            logger.info("could not check the bot's token: %s", error.message)
        except SyncError as error:
            if self.health.token_fault is None:
                logger.warning("%s", error.message)
            self.health.token_fault = error.message
        else:
            self.health.token_fault = None

    async def _why(self) -> str:
        try:
            await preflight.check_app_token(self._client, self._app_token)
        except SyncError as error:
            return error.message
        return "Slack answers, but accepts no connection"


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for an event, at most this many seconds. Returns whether it was set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


# How often slack-sdk pings Slack, in seconds. It replaces a connection that does not answer within this time.
PING_EVERY_S = 5.0


@asynccontextmanager
async def connected(app: AsyncApp, app_token: str) -> AsyncIterator[SocketModeClient]:
    """Stay connected for the length of the block; slack-sdk replaces lost and expired connections.

    Waits for the first connection without a limit, so check the token before.
    """
    handler = AsyncSocketModeHandler(app, app_token, ping_interval=PING_EVERY_S)
    client = handler.client
    issue = client.issue_new_wss_url

    async def issue_and_choose_proxy() -> str:
        url = await issue()
        client.proxy = network.proxy_for(url)
        return url

    client.issue_new_wss_url = issue_and_choose_proxy  # type: ignore[method-assign]  # the host is known only then
    try:
        await handler.connect_async()  # type: ignore[no-untyped-call]
        yield client
    finally:
        tasks = [client.message_processor, client.current_session_monitor, client.message_receiver]
        await handler.close_async()  # type: ignore[no-untyped-call]
        # They were cancelled, but may still be running.
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)
