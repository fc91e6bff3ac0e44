"""The time zone of a person, as Slack knows it."""

import asyncio

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.actor import Actor
from bot.slack.api_errors import ERRORS
from core.automation import times
from core.errors import ValidationError

# How long Slack may take to tell a person's time zone, in seconds. Without it forms show UTC.
TIME_ZONE_WITHIN_S = 1.0


async def time_zone_of(client: AsyncWebClient, actor: Actor) -> str:
    """Return the name of a person's time zone (IANA), or UTC if Slack does not say."""
    try:
        async with asyncio.timeout(TIME_ZONE_WITHIN_S):
            user = (await client.users_info(user=actor.person))["user"]
        return times.check_time_zone(str(user.get("tz") or ""))
    except (*ERRORS, ValidationError):
        return "UTC"
