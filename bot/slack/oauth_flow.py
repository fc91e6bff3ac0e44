"""Installs the app in a workspace (OAuth), with retries while Slack is busy."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack.api_errors import ERRORS, FailureClass, classify
from bot.slack.retry import RetryLaterError, with_retries
from core.errors import SyncError

# The waits before each retry, in seconds. A person is looking at the browser meanwhile.
WAITS_S = (1.0, 3.0)
MAX_WAIT_S = 5.0

logger = logging.getLogger(__name__)


class WorkspaceNotAllowedError(SyncError):
    """The operator has not allowed a workspace to install the app."""

    code = "workspace_not_allowed"


class RetryingOAuthFlow(AsyncOAuthFlow):
    """Bolt's flow with retries, and without the installation's code in the log.

    Bolt's own flow gives up at the first lost answer. This one also refuses a workspace that is not on the operator's
    list.
    """

    def __init__(self, *, may_install: Callable[[str | None], bool], **options: Any) -> None:
        """`may_install` returns whether a workspace may install the app, by its id. No I/O."""
        super().__init__(**options)
        self._may_install = may_install

    async def handle_callback(self, request: AsyncBoltRequest) -> BoltResponse:
        """Answer the browser that comes back from Slack's install page."""
        try:
            return await super().handle_callback(request)
        except WorkspaceNotAllowedError as error:
            page = self.settings.redirect_uri_page_renderer.render_failure_page(error.message)
            return BoltResponse(status=403, headers={"Content-Type": "text/html; charset=utf-8"}, body=page)

    async def run_installation(self, code: str) -> Installation | None:
        """Exchange the code of the install page for a token. Returns None if Slack rejects it; the page asks to start
        again.

        The answer names the workspace. Raises WorkspaceNotAllowedError if it may not install the app.
        """
        try:
            answer = await with_retries(partial(self._exchange, code), WAITS_S, MAX_WAIT_S)
        except (RetryLaterError, *ERRORS):
            return None
        await self._check_allowed(answer)
        team, organization = answer.get("team") or {}, answer.get("enterprise") or {}
        token = answer.get("access_token")
        return Installation(
            app_id=answer.get("app_id"),
            enterprise_id=organization.get("id"),
            enterprise_name=organization.get("name"),
            team_id=team.get("id"),
            team_name=team.get("name"),
            bot_token=token,
            bot_refresh_token=answer.get("refresh_token"),
            bot_token_expires_in=answer.get("expires_in"),
            bot_id=await self._bot_id(token),
            bot_user_id=answer.get("bot_user_id"),
            bot_scopes=str(answer.get("scope") or ""),
            user_id=str((answer.get("authed_user") or {}).get("id") or ""),
            is_enterprise_install=answer.get("is_enterprise_install") or False,
            token_type=answer.get("token_type"),
        )

    async def _check_allowed(self, answer: AsyncSlackResponse) -> None:
        whole = bool(answer.get("is_enterprise_install"))
        team_id = ((answer.get("enterprise") if whole else answer.get("team")) or {}).get("id")
        what = "organization" if whole else "workspace"
        if self._may_install(team_id):
            return
        logger.warning("%s %s may not install the app: ITERABLE_SYNC_ALLOWED_WORKSPACES", what, team_id)
        try:  # the token is not stored, so it should not stay valid
            await self.client.auth_revoke(token=answer.get("access_token"))
        except ERRORS as error:
            logger.warning("could not revoke the token of an installation: %s", classify(error).word)
        raise WorkspaceNotAllowedError(
            f"{what} {team_id} may not install this app. Its operator can allow it: ITERABLE_SYNC_ALLOWED_WORKSPACES"
        )

    async def _exchange(self, code: str) -> AsyncSlackResponse:
        try:
            return await self.client.oauth_v2_access(
                code=code,
                client_id=self.settings.client_id,
                client_secret=self.settings.client_secret,
                redirect_uri=self.settings.redirect_uri,
            )
        except ERRORS as error:
            failure = classify(error)
            logger.warning("could not complete an installation: %s", failure.word)
            if failure.verdict in (FailureClass.RETRY_LATER, FailureClass.UNKNOWN):
                raise RetryLaterError(failure.word, failure.after) from error
            raise

    async def _bot_id(self, token: str | None) -> str | None:
        """Return the bot's id, by which Bolt recognizes the bot's own messages. The installation works without it."""
        try:
            return str((await self.client.auth_test(token=token))["bot_id"])
        except ERRORS as error:
            logger.warning("could not read the id of a bot: %s", classify(error).word)
            return None
