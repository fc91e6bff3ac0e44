"""People in Slack: who administers the workspace."""

import asyncio
import logging
import time

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.api_errors import ERRORS, classify
from core.errors import SyncError

# How long an answer is believed, in seconds: an admin who was removed must not stay one for long.
FRESH_S = 60.0
# How long Slack may take to answer, in seconds: the click that is waiting for it opens a modal for 3 s.
ANSWER_WITHIN_S = 1.5

logger = logging.getLogger(__name__)


class AdminLookupError(SyncError):
    """Slack does not say whether somebody is an admin, so what only admins may do is not done."""

    code = "admin_not_known"


class AdminDirectory:
    """Whether people are admins, asked of Slack (users.info, scope users:read) and remembered for a minute."""

    def __init__(self) -> None:
        """No I/O."""
        self._known: dict[tuple[str, str], tuple[float, bool]] = {}

    async def is_admin(self, client: AsyncWebClient, team_id: str, person: str) -> bool:
        """Whether a person is an admin or an owner of the workspace. Raises NotKnownError where Slack does not say."""
        at, known = self._known.get((team_id, person), (-FRESH_S, False))
        if time.monotonic() - at > FRESH_S:
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    user = (await client.users_info(user=person))["user"]
            except ERRORS as error:
                word = classify(error).word
                logger.warning("whether a person is an admin is not known: %s", word)
                raise AdminLookupError(
                    f"Slack does not say at the moment whether you are an admin of this workspace ({word}), and only "
                    "admins may do this. Nothing was done. Try again in a moment."
                ) from error
            known = bool(user.get("is_admin") or user.get("is_owner"))
            self._known[team_id, person] = (time.monotonic(), known)
        return known
