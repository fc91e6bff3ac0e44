"""Installing the app in a workspace (OAuth), also while Slack is busy."""

import asyncio
import logging

from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.slack.api_errors import ERRORS, FailureClass, classify

# How long it waits before Slack is asked once more, in seconds: a person looks at their browser meanwhile.
WAITS_S = (1.0, 3.0)
MOST_WAIT_S = 5.0

logger = logging.getLogger(__name__)


class RetryingOAuthFlow(AsyncOAuthFlow):
    """Bolt's flow, which fails for good at the first answer that is missing, and has the code in its log."""

    async def run_installation(self, code: str) -> Installation | None:
        """Exchange the code of the install page for a token. None where Slack does not: the page says to begin anew."""
        answer = await self._exchanged(code)
        if answer is None:
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

    async def _exchanged(self, code: str) -> AsyncSlackResponse | None:
        for wait in (*WAITS_S, None):
            try:
                return await self.client.oauth_v2_access(
                    code=code,
                    client_id=self.settings.client_id,
                    client_secret=self.settings.client_secret,
                    redirect_uri=self.settings.redirect_uri,
                )
            except ERRORS as error:
                trouble = classify(error)
                logger.warning("an installation was not completed: %s", trouble.word)
                if trouble.verdict not in (FailureClass.RETRY_LATER, FailureClass.UNKNOWN) or wait is None:
                    return None
                await asyncio.sleep(wait if trouble.after is None else min(trouble.after, MOST_WAIT_S))
        raise AssertionError

    async def _bot_id(self, token: str | None) -> str | None:
        """The bot's id, by which Bolt knows the bot's own messages; an installation does not fail for want of it."""
        try:
            return str((await self.client.auth_test(token=token))["bot_id"])
        except ERRORS as error:
            logger.warning("the id of a bot is not known: %s", classify(error).word)
            return None
