"""People in Slack: who is an admin of the workspace, and who is not a member of it."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.api_errors import ERRORS, classify
from core.errors import SyncError

# How long an answer is cached, in seconds. It is short, so that a removed admin loses the rights soon.
FRESH_S = 60.0
# How long an answer about a person's membership is used while Slack gives no newer one, in seconds.
STALE_S = 3600.0
# Slack's own bot, for which users.info returns is_bot: false.
SLACKBOT = "USLACKBOT"
# How long Slack may take to answer, in seconds: a click can open a modal for 3 s.
ANSWER_WITHIN_S = 1.5

logger = logging.getLogger(__name__)


class AdminLookupError(SyncError):
    """Slack does not say whether a person is an admin, so an action for admins only is refused."""

    code = "admin_not_known"


class TimeZoneLookupError(SyncError):
    """Slack does not say a person's time zone, so a time that they typed can't be read."""

    code = "time_zone_not_known"


class MemberKind(StrEnum):
    """The kind of a person's account (docs.slack.dev/reference/objects/user-object)."""

    MEMBER = "member"
    GUEST = "a guest"
    BOT = "a bot"
    DEACTIVATED = "deactivated"
    STRANGER = "of another workspace"


@dataclass(frozen=True, slots=True)
class _Known:
    at: float
    is_admin: bool
    kind: MemberKind
    zone: tzinfo


class AdminDirectory:
    """Looks up people in Slack (users.info, scope users:read), and caches the answers for a minute."""

    def __init__(self) -> None:
        """No I/O."""
        self._known: dict[tuple[str, str], _Known] = {}

    async def is_admin(self, client: AsyncWebClient, team_id: str, person: str) -> bool:
        """Return whether a person is an admin or owner of the workspace. Raises AdminLookupError if Slack does not
        say."""
        return (await self._look_up(client, team_id, person, FRESH_S)).is_admin

    async def kind(self, client: AsyncWebClient, team_id: str, person: str) -> MemberKind:
        """Return the kind of a person's account in a workspace. Raises AdminLookupError if Slack does not say.

        The kind rarely changes, so an older answer counts if Slack gives none.
        """
        try:
            return (await self._look_up(client, team_id, person, FRESH_S)).kind
        except AdminLookupError:
            known = self._known.get((team_id, person))
            if known is None or time.monotonic() - known.at > STALE_S:
                raise
            return known.kind

    async def time_zone(self, client: AsyncWebClient, team_id: str, person: str) -> tzinfo:
        """Return the time zone in a person's profile. Raises TimeZoneLookupError if Slack does not say."""
        try:
            return (await self._look_up(client, team_id, person, STALE_S)).zone
        except AdminLookupError:
            raise TimeZoneLookupError(
                "Slack does not say your time zone at the moment. Nothing was done. Try again in a moment."
            ) from None

    async def _look_up(self, client: AsyncWebClient, team_id: str, person: str, fresh_s: float) -> _Known:
        known = self._known.get((team_id, person))
        if known is not None and time.monotonic() - known.at <= fresh_s:
            return known
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                user = (await client.users_info(user=person))["user"]
        except ERRORS as error:
            word = classify(error).word
            logger.warning("could not look up a person in Slack: %s", word)
            raise AdminLookupError(
                f"Slack does not say at the moment whether you are an admin of this workspace ({word}), and only "
                "admins may do this. Nothing was done. Try again in a moment."
            ) from error
        is_admin = bool(user.get("is_admin") or user.get("is_owner"))
        known = _Known(time.monotonic(), is_admin, _kind_of(user, team_id), _zone_of(user))
        self._known[team_id, person] = known
        return known


def _zone_of(user: Mapping[str, Any]) -> tzinfo:
    """Return the zone `tz`, or if this machine does not know it the offset `tz_offset` (users.info has both)."""
    try:
        return ZoneInfo(user.get("tz") or "")
    except (ValueError, ZoneInfoNotFoundError, OSError):
        return timezone(timedelta(seconds=int(user.get("tz_offset") or 0)))


def _kind_of(user: Mapping[str, Any], team_id: str) -> MemberKind:
    if user.get("deleted"):
        return MemberKind.DEACTIVATED
    teams = (user.get("enterprise_user") or {}).get("teams") or ()  # of a person in an organization
    if user.get("is_stranger") or (user.get("team_id") not in (None, team_id) and team_id not in teams):
        return MemberKind.STRANGER
    if user.get("is_bot") or user.get("id") == SLACKBOT:
        return MemberKind.BOT
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return MemberKind.GUEST
    return MemberKind.MEMBER
