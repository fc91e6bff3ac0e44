"""Token rotation: bot tokens that expire after 12 hours are replaced with the help of their refresh tokens.

A refresh token works once (docs.slack.dev/authentication/using-token-rotation). So a refresh that has begun is never
cancelled, and it runs in one task of the process for each installation. If another process was quicker, Slack refuses
the refresh token, and the database has the new token.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from slack_sdk.errors import SlackTokenRotationError
from slack_sdk.oauth.installation_store import Bot
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator

from bot.slack.api_errors import ERRORS

#: A token is replaced when it is valid for less than this, in minutes. It is used meanwhile.
REFRESH_BEFORE_MIN = 120
#: A token that is valid for less than this is not used, in seconds: a request takes a moment.
MARGIN_S = 60.0

logger = logging.getLogger(__name__)


class TokenRotation:
    """Replaces the tokens of installations before they expire."""

    def __init__(
        self,
        rotator: AsyncTokenRotator,
        find: Callable[[Bot], Awaitable[Bot | None]],
        save: Callable[[Bot], Awaitable[None]],
    ) -> None:
        """`find` returns the stored bot of the same installation, `save` stores one. No I/O."""
        self._rotator = rotator
        self._find = find
        self._save = save
        self._tasks: dict[tuple[str | None, str | None], asyncio.Task[Bot]] = {}

    async def usable(self, bot: Bot) -> Bot:
        """Return the bot with a token that works, and refresh a token that expires soon.

        Only a token that has expired makes the caller wait. If Slack refuses to refresh it, the old one is returned:
        Slack's answer to its use says what is wrong.
        """
        if bot.bot_token_expires_at is None or _left(bot) > REFRESH_BEFORE_MIN * 60:
            return bot
        key = (bot.enterprise_id, bot.team_id)
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(self._refresh(bot), name="token refresh")
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
        return bot if _left(bot) > MARGIN_S else await asyncio.shield(task)

    async def finish(self) -> None:
        """Wait for refreshes that have begun."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _refresh(self, bot: Bot) -> Bot:
        current = await self._find(bot) or bot
        try:
            new = await self._rotator.perform_bot_token_rotation(
                bot=current, minutes_before_expiration=REFRESH_BEFORE_MIN
            )
        except (SlackTokenRotationError, *ERRORS) as error:
            stored = await self._find(bot)
            if stored is not None and stored.bot_token != current.bot_token:  # by another process
                return stored
            logger.warning(
                "could not refresh the token of %s (%s). If it stays so, the app has to be installed there again",
                bot.team_id or bot.enterprise_id,
                type(error).__name__,
            )
            return current
        if new is None:  # it is fresh already
            return current
        await self._save(new)
        return new


def _left(bot: Bot) -> float:
    """Return for how many seconds the token is still valid."""
    return (bot.bot_token_expires_at or 0) - time.time()
