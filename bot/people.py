"""People in Slack: who administers the workspace."""

import time

from slack_sdk.web.async_client import AsyncWebClient

# How long an answer is believed, in seconds: an admin who was removed must not stay one for long.
FRESH_S = 60.0


class People:
    """Whether people are admins, asked of Slack (users.info, scope users:read) and remembered for a minute."""

    def __init__(self) -> None:
        """No I/O."""
        self._known: dict[tuple[str, str], tuple[float, bool]] = {}

    async def is_admin(self, client: AsyncWebClient, team_id: str, person: str) -> bool:
        """Whether a person is an admin or an owner of the workspace. Raises SlackApiError where Slack does not say."""
        at, known = self._known.get((team_id, person), (-FRESH_S, False))
        if time.monotonic() - at > FRESH_S:
            user = (await client.users_info(user=person))["user"]
            known = bool(user.get("is_admin") or user.get("is_owner"))
            self._known[team_id, person] = (time.monotonic(), known)
        return known
