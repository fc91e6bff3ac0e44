"""Addresses of messages in Slack, for links in other messages and on the Home page."""

import asyncio
import logging
import time

from bot.slack.api_errors import ERRORS, classify
from bot.slack.clients import Clients
from core.store.slack_messages import SlackMessage

#: How long Slack may take to name the address of a workspace, in seconds.
ANSWER_WITHIN_S = 1.0
# When Slack is asked again after a failure, in seconds.
_AGAIN_AFTER_S = 60.0

logger = logging.getLogger(__name__)


class MessageLinks:
    """Builds addresses of messages: that of the workspace, which `auth.test` returns, the channel and the time stamp.

    Slack's own chat.getPermalink would be a call for each message. Whoever asks during the call waits for its answer.
    """

    def __init__(self) -> None:
        """No I/O."""
        self._urls: dict[str | None, str] = {}
        self._ask_at: dict[str | None, float] = {}
        self._locks: dict[str | None, asyncio.Lock] = {}

    async def to(self, clients: Clients, team_id: str | None, message: SlackMessage | None) -> str | None:
        """Return the address of a message; None if Slack does not show it, or does not answer."""
        if message is None or message.channel is None or message.ts is None:
            return None
        async with self._locks.setdefault(team_id, asyncio.Lock()):
            url = await self._url_of(clients, team_id)
        return None if url is None else f"{url}archives/{message.channel}/p{message.ts.replace('.', '')}"

    async def _url_of(self, clients: Clients, team_id: str | None) -> str | None:
        if team_id in self._urls or time.monotonic() < self._ask_at.get(team_id, 0.0):
            return self._urls.get(team_id)
        self._ask_at[team_id] = time.monotonic() + _AGAIN_AFTER_S
        client = await clients.for_team(team_id)
        if client is None:
            return None
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                url = (await client.auth_test()).get("url")
        except ERRORS as error:
            logger.info("could not find out the address of a workspace: %s", classify(error).word)
            return None
        if isinstance(url, str):
            self._urls[team_id] = url
        return self._urls.get(team_id)
