"""User groups of a workspace: which there are, and who is in them."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.api_errors import ERRORS, classify
from core.errors import SyncError

# How long an answer is cached, in seconds. It is short, so that who leaves a group soon loses its rights.
FRESH_S = 60.0
# How long no request is sent after a failed one, in seconds.
PAUSE_S = 5.0
# How long Slack may take to answer, in seconds: a click can open a modal for 3 s.
ANSWER_WITHIN_S = 1.5

_NO_SCOPE = "missing_scope"

logger = logging.getLogger(__name__)


class UserGroupsUnknownError(SyncError):
    """Slack does not say which user groups there are, or who is in them."""

    code = "user_groups_not_known"


@dataclass(frozen=True, slots=True)
class UserGroup:
    """A user group: its id, its handle (without @), its name, and the ids of its people."""

    id: str
    handle: str
    name: str
    members: frozenset[str]


@dataclass(slots=True)
class _Known:
    at: float
    groups: Mapping[str, UserGroup] | None
    """None: Slack did not say."""
    word: str = ""


class UserGroupDirectory:
    """Reads the user groups of workspaces (usergroups.list with their users, scope usergroups:read).

    One request has all groups, so a workspace needs one a minute; Slack allows 20 (Tier 2). A disabled group has no
    people. An answer older than a minute is not used: no one counts as a member then.
    """

    def __init__(self) -> None:
        """No I/O."""
        self._known: dict[str, _Known] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def groups(self, client: AsyncWebClient, team_id: str) -> Mapping[str, UserGroup]:
        """Return the user groups of a workspace by id. Raises UserGroupsUnknownError if Slack does not say."""
        async with self._locks.setdefault(team_id, asyncio.Lock()):
            known = self._known.get(team_id)
            age = time.monotonic() - known.at if known is not None else FRESH_S + 1
            if known is None or age > (FRESH_S if known.groups is not None else PAUSE_S):
                known = self._known[team_id] = await _read(client)
        if known.groups is None:
            raise UserGroupsUnknownError(
                f"Slack does not say at the moment which user groups there are ({known.word}). If it is missing_scope, "
                "install the app again with manifest-usergroups.yml. Otherwise try again in a moment."
            )
        return known.groups

    async def members(self, client: AsyncWebClient, team_id: str) -> Mapping[str, frozenset[str]]:
        """Return the people in each user group by its id; none if Slack does not say."""
        try:
            return {each.id: each.members for each in (await self.groups(client, team_id)).values()}
        except UserGroupsUnknownError:
            return {}


async def _read(client: AsyncWebClient) -> _Known:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            answer = await client.usergroups_list(include_users=True)
    except ERRORS as error:
        word = classify(error).word
        level = logging.INFO if word == _NO_SCOPE else logging.WARNING  # the scope is optional
        logger.log(level, "could not read the user groups of a workspace: %s", word)
        return _Known(time.monotonic(), None, word)
    groups = {
        str(each["id"]): UserGroup(
            str(each["id"]),
            str(each.get("handle") or ""),
            str(each.get("name") or ""),
            frozenset(map(str, each.get("users") or ())),
        )
        for each in answer.get("usergroups") or ()
        if not each.get("date_delete")
    }
    return _Known(time.monotonic(), groups)
