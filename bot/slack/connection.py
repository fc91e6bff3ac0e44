"""Slack as a part of the process: looked at first, and again until it can be reached, and then connected to."""

import asyncio
import logging
import time
from collections.abc import Callable

from slack_bolt.async_app import AsyncApp

from bot.slack import preflight
from bot.slack.app_factory import value_of
from bot.slack.clients import Clients
from bot.slack.listener_tracker import ListenerTracker
from bot.slack.mode import SlackMode
from bot.slack.preflight import SlackUnreachableError
from bot.slack.socket_mode import connected
from core.engine import Engine
from core.errors import SyncError

# How long the first connection may take before we say that we are ready, in seconds. It goes on after that.
FIRST_CONNECTION_S = 5.0
# How long until Slack is tried again that could not be reached, in seconds.
TRY_AGAIN_S = 5.0

# How often it is looked whether the connection stands, and how long it may be lost before the log says so (seconds).
LOOK_EVERY_S = 5.0
TELL_AFTER_S = 20.0

logger = logging.getLogger(__name__)

#: Says a line to whoever started the process.
Say = Callable[[str], None]


class SlackConnection:
    """The way between Slack and an app, in any mode but the one without Slack."""

    def __init__(self, engine: Engine, clients: Clients, mode: SlackMode, app: AsyncApp) -> None:
        """Take the app with its listeners. No I/O."""
        self.app = app
        self.listening = ListenerTracker(app)
        self._engine = engine
        self._client = clients.with_token(value_of(engine.settings.slack_bot_token))
        self._app_token = value_of(engine.settings.slack_app_token) or ""
        self._mode = mode
        self._seen = mode is SlackMode.MANY  # whose tokens come with each installation
        self._connected = asyncio.Event()

    async def look(self, say: Say) -> None:
        """Look whether Slack takes our tokens. Raises SettingsError where not; says so where Slack can't be reached."""
        try:
            await self._look(say)
        except SlackUnreachableError as error:
            say(f"{error.message}. It is tried again every {TRY_AGAIN_S:.0f} seconds; everything else runs meanwhile.")

    async def until_first_connected(self) -> None:
        """Wait for the connection where there will be one at once."""
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
        if self._mode is not SlackMode.SOCKET:
            await stopping.wait()
            return
        # the first connection is waited for, and stopping must not wait with it
        staying = asyncio.create_task(self._stay_connected(), name="socket mode")
        stopped = asyncio.create_task(stopping.wait(), name="until stopping")
        try:
            await asyncio.wait((staying, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            staying.cancel()
            await asyncio.gather(stopped, staying, return_exceptions=True)
        if not staying.cancelled():
            staying.result()

    async def _look(self, say: Say) -> None:
        if self._seen:
            return
        identity = await preflight.fetch_bot_identity(self._client)
        if self._mode is SlackMode.SOCKET:
            await preflight.check_app_token(self._client, self._app_token)
        self._seen = True
        how = "Socket Mode" if self._mode is SlackMode.SOCKET else "HTTP mode"
        say(f'Slack: workspace "{identity.team}" as @{identity.user}, {how}.')
        if identity.missing_scopes:
            say(f"Something will not work: {preflight.lacks(identity)}")

    async def _stay_connected(self) -> None:
        async with connected(self.app, self._app_token) as client:
            self._connected.set()
            lost_at, told = 0.0, False
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                stands, now = await client.is_connected(), time.monotonic()
                if stands and told:
                    logger.warning("the connection to Slack stands again")
                if not stands:
                    client.wss_uri = None  # slack-sdk would try this one for ever, and Slack takes it for seconds only
                lost_at, told = (0.0, False) if stands else (lost_at or now, told)
                if not stands and not told and now - lost_at >= TELL_AFTER_S:
                    logger.warning("the connection to Slack is lost, and tried again: %s", await self._why())
                    told = True

    async def _why(self) -> str:
        try:
            await preflight.check_app_token(self._client, self._app_token)
        except SyncError as error:
            return error.message
        return "Slack answers, but accepts no connection"


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for an event, so long at most. Returns whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
