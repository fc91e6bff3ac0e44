"""Slack's Web API clients, one for each workspace, with the token that was installed there."""

from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.instrumentation import CallMetricsHandler

# How long a call to Slack may take, in seconds: a person or a message waits for it.
TIMEOUT_S = 15


class Clients:
    """Clients by workspace: of the one bot token, or of the installations (OAuth)."""

    def __init__(self, api_url: str, token: str | None, installations: AsyncInstallationStore | None) -> None:
        """Take the address of the Web API, and a token or a store of installations. No I/O."""
        self._api_url = api_url
        self._token = token
        self._installations = installations

    def with_token(self, token: str | None) -> AsyncWebClient:
        """A client with a token.

        It repeats nothing by itself: a message whose answer was lost must not be posted twice, and who is told to
        wait decides for himself whether there is time.
        """
        return AsyncWebClient(
            token=token, base_url=self._api_url, timeout=TIMEOUT_S, retry_handlers=[CallMetricsHandler()]
        )

    async def for_team(self, team_id: str | None) -> AsyncWebClient | None:
        """The client for a workspace, or None where the bot is not installed there (any more)."""
        if self._token is not None:
            return self.with_token(self._token)
        if self._installations is None or team_id is None:
            return None
        bot = await self._installations.async_find_bot(enterprise_id=None, team_id=team_id)
        return None if bot is None else self.with_token(bot.bot_token)
