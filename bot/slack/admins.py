"""Which people are admins of their workspace."""

import asyncio
import logging
import time

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.api_errors import ERRORS, classify
from core.errors import SyncError

# How long an answer is cached, in seconds. It is short, so that a removed admin loses the rights soon.
FRESH_S = 60.0
# How long Slack may take to answer, in seconds. The click that waits for it can open a modal for 3 s.
ANSWER_WITHIN_S = 1.5

logger = logging.getLogger(__name__)


class AdminLookupError(SyncError):
    """Slack does not say whether a person is an admin, so an action for admins only is refused."""

    code = "admin_not_known"


class AdminDirectory:
    """Asks Slack whether people are admins (users.info, scope users:read), and caches the answers for a minute."""

    def __init__(self) -> None:
        """No I/O."""
        self._known: dict[tuple[str, str], tuple[float, bool]] = {}

    async def is_admin(self, client: AsyncWebClient, team_id: str, person: str) -> bool:
        """Return whether a person is an admin or an owner of the workspace. Raises AdminLookupError if Slack does not
        say."""
        at, is_admin = self._known.get((team_id, person), (-FRESH_S, False))
        if time.monotonic() - at > FRESH_S:
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    user = (await client.users_info(user=person))["user"]
            except ERRORS as error:
                word = classify(error).word
                logger.warning("could not find out whether a person is an admin: %s", word)
                raise AdminLookupError(
                    f"Slack does not say at the moment whether you are an admin of this workspace ({word}), and only "
                    "admins may do this. Nothing was done. Try again in a moment."
                ) from error
            is_admin = bool(user.get("is_admin") or user.get("is_owner"))
            self._known[team_id, person] = (time.monotonic(), is_admin)
        return is_admin
