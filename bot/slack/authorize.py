"""Finds the token for a request without a call to Slack, because a person is waiting for the acknowledgement.

Bolt's own authorization calls auth.test first. If that call fails, the person reads that the app is not installed.
"""

from typing import Any

from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore


class SingleWorkspaceAuthorize(AsyncAuthorize):
    """Authorizes requests of the one workspace whose token is in the settings."""

    def __init__(self, token: str | None) -> None:
        """Take the bot's token. No I/O."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._token = token

    async def __call__(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None, **_more: Any
    ) -> AuthorizeResult:
        """Return the token. The access gate checks that the request comes from this workspace."""
        return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, user_id=user_id, bot_token=self._token)


class MultiWorkspaceAuthorize(AsyncAuthorize):
    """Authorizes requests of workspaces that have installed the app."""

    def __init__(self, installations: AsyncInstallationStore) -> None:
        """Take the installation store. No I/O."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._installations = installations

    async def __call__(
        self, *, context: Any, enterprise_id: str | None, team_id: str | None, user_id: str | None, **_more: Any
    ) -> AuthorizeResult | None:
        """Return the token of a workspace, or None if the app is not installed there."""
        bot = await self._installations.async_find_bot(
            enterprise_id=enterprise_id, team_id=team_id, is_enterprise_install=context.is_enterprise_install
        )
        if bot is None:
            return None
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id,
            user_id=user_id,
            bot_token=bot.bot_token,
            bot_id=bot.bot_id,
            bot_user_id=bot.bot_user_id,
        )
