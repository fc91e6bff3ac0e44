"""Slack Web API clients by workspace."""

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.installation_store import EncryptedInstallationStore
from bot.slack.instrumentation import CallMetricsHandler
from core import network

# The timeout of a call to Slack, in seconds.
TIMEOUT_S = 15


class Clients:
    """Creates clients with the bot token of the settings, or with the token of an installation (OAuth)."""

    def __init__(self, api_url: str, token: str | None, installations: EncryptedInstallationStore | None) -> None:
        """Take the URL of the Web API, and either a token or an installation store. No I/O."""
        self.api_url = api_url
        self._token = token
        self._installations = installations

    def with_token(self, token: str | None) -> AsyncWebClient:
        """Return a client with a token.

        The client does not retry: a message whose answer was lost must not be posted twice, and only the caller knows
        how long it can wait.
        """
        client = AsyncWebClient(
            token=token,
            base_url=self.api_url,
            timeout=TIMEOUT_S,
            ssl=network.tls_context(),
            retry_handlers=[CallMetricsHandler()],
        )
        client.proxy = network.proxy_for(self.api_url)  # slack-sdk would ignore NO_PROXY
        return client

    async def forget(self, team_id: str | None, enterprise_id: str | None) -> None:
        """Delete the tokens of a workspace, or without one those of an organization, if they are stored here."""
        if self._installations is not None:
            await self._installations.async_delete_all(enterprise_id=enterprise_id, team_id=team_id)

    async def workspaces_of(self, enterprise_id: str) -> list[str]:
        """Return the workspaces that use the app through the installation of their organization."""
        return [] if self._installations is None else await self._installations.workspaces.workspaces_of(enterprise_id)

    async def leave_organization(self, team_id: str) -> None:
        """Note that a workspace no longer uses the installation of its organization."""
        if self._installations is not None:
            await self._installations.workspaces.forget(team_id)

    async def for_team(self, team_id: str | None) -> AsyncWebClient | None:
        """Return the client for a workspace, or None if the app is not installed there."""
        if self._token is not None:
            return self.with_token(self._token)
        if self._installations is None or team_id is None:
            return None
        bot = await self._installations.async_find_bot(enterprise_id=None, team_id=team_id)
        return None if bot is None else self.with_token(bot.bot_token)
