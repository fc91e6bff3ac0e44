"""Installs the app in a workspace (OAuth), with retries while Slack is busy."""

import logging
from functools import partial

from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack.api_errors import ERRORS, FailureClass, classify
from bot.slack.retry import RetryLaterError, with_retries

# The waits before each retry, in seconds. A person is looking at the browser meanwhile.
WAITS_S = (1.0, 3.0)
MAX_WAIT_S = 5.0

logger = logging.getLogger(__name__)


class RetryingOAuthFlow(AsyncOAuthFlow):
    """Bolt's flow with retries. Bolt's own fails at the first error, and logs the code."""

    async def run_installation(self, code: str) -> Installation | None:
        """Exchange the code of the install page for a token. Returns None if Slack rejects it; the page asks to start
        again."""
        try:
            answer = await with_retries(partial(self._exchange, code), WAITS_S, MAX_WAIT_S)
        except (RetryLaterError, *ERRORS):
            return None
        team, organization = answer.get("team") or {}, answer.get("enterprise") or {}
        token = answer.get("access_token")
        return Installation(
            app_id=answer.get("app_id"),
            enterprise_id=organization.get("id"),
            enterprise_name=organization.get("name"),
            team_id=team.get("id"),
            team_name=team.get("name"),
            bot_token=token,
            bot_id=await self._bot_id(token),
            bot_user_id=answer.get("bot_user_id"),
            bot_scopes=str(answer.get("scope") or ""),
            user_id=str((answer.get("authed_user") or {}).get("id") or ""),
            is_enterprise_install=answer.get("is_enterprise_install") or False,
            token_type=answer.get("token_type"),
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
        """The bot's id, by which Bolt recognizes the bot's own messages. The installation works without it."""
        try:
            return str((await self.client.auth_test(token=token))["bot_id"])
        except ERRORS as error:
            logger.warning("could not read the id of a bot: %s", classify(error).word)
            return None
