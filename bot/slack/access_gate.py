"""The access gate: it checks every request before any listener, and refuses people who have no access to the workspace.

In the mode of one workspace, requests of others are refused: an app that is installed in several workspaces gets the
events of all of them over its Socket Mode connection. People of other workspaces, who meet the app in a channel of
Slack Connect, are always refused. Guests, bots and deactivated people are refused unless a connection names them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.actor import OUTSIDER, Actor, team_of
from bot.slack.admins import ANSWER_WITHIN_S, AdminDirectory, AdminLookupError, MemberKind
from bot.slack.api_errors import ERRORS, classify
from bot.slack.reply import reply_privately
from bot.ui.blocks import Message, notice, section

OTHER_WORKSPACE = "This app serves another workspace, so nothing was done."
STRANGER = "Only members of the workspace in which this app is installed can use it, so nothing was done."
UNKNOWN = "Slack does not say at the moment who you are, so nothing was done. Try again in a moment."
HOME_FOR_MEMBERS = "The Home page is for members of this workspace. Type `/iterable-sync status` instead."

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class HomeWorkspace:
    """In the mode of one workspace: its id, once Slack has answered to which workspace the token belongs."""

    team_id: str | None = None


class PendingReplies:
    """Replies that are still being sent after the acknowledgement. The end of the process waits for them."""

    def __init__(self) -> None:
        """No I/O."""
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, reply: Coroutine[Any, Any, None]) -> None:
        """Start sending a reply."""
        task = asyncio.create_task(reply, name="refusal")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until all replies have been sent."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


def outsider_refusal(kind: MemberKind) -> str:
    """Return the refusal for a person who is not a member of the workspace, and not named by a connection."""
    return (
        f"Your account is {kind.value}. Only members of this workspace can use this app, unless an admin names you as "
        "an operator or approver of a connection. Nothing was done."
    )


class AccessGate:
    """Decides about every request, and answers those that it refuses."""

    def __init__(
        self,
        home: HomeWorkspace | None,
        people: AdminDirectory,
        is_named: Callable[[str, str], Awaitable[bool]],
        replies: PendingReplies,
    ) -> None:
        """Take the gate's dependencies. No I/O.

        `home`: the one workspace; None if there are many. `is_named`: whether a connection of a workspace names a
        person (team id, person id). `replies`: gets the replies that follow an acknowledgement.
        """
        self._home = home
        self._people = people
        self._is_named = is_named
        self._replies = replies

    def register(self, app: AsyncApp) -> None:
        """Put the gate before all listeners of an app."""

        @app.middleware
        async def check_access(
            body: dict[str, Any],
            context: AsyncBoltContext,
            ack: AsyncAck,
            client: AsyncWebClient,
            next_: Callable[[], Awaitable[None]],
        ) -> BoltResponse | None:
            body.pop(OUTSIDER, None)
            refusal = await self._refusal(body, context, client)
            if refusal is None:
                await next_()
                return None
            logger.info("refused a request: %s", refusal)
            return await self._refuse(body, ack, client, refusal)

    async def _refusal(self, body: dict[str, Any], context: AsyncBoltContext, client: AsyncWebClient) -> str | None:
        """Return why a request is refused, or None if it is not."""
        team_id = team_of(body, context.team_id)
        if self._home is not None and team_id != await _own_team(self._home, client):
            return OTHER_WORKSPACE if self._home.team_id else UNKNOWN
        person = _person_of(body)
        if person is None:  # an event without a person
            return None
        if context.enterprise_id is None and _team_of_person(body) not in (None, team_id):
            return STRANGER  # in an organization, users.info says to which workspaces a person belongs
        return await self._refusal_of(body, client, team_id, person)

    async def _refusal_of(self, body: dict[str, Any], client: AsyncWebClient, team_id: str, person: str) -> str | None:
        try:
            kind = await self._people.kind(client, team_id, person)
        except AdminLookupError:
            return None if await self._is_named(team_id, person) else UNKNOWN
        if kind is MemberKind.MEMBER:
            return None
        if kind is MemberKind.STRANGER:
            return STRANGER
        if not await self._is_named(team_id, person):
            return outsider_refusal(kind)
        body[OUTSIDER] = True
        return HOME_FOR_MEMBERS if _is_home(body) else None

    async def _refuse(self, body: dict[str, Any], ack: AsyncAck, client: AsyncWebClient, refusal: str) -> BoltResponse:
        match body.get("type"):
            case "view_submission":
                return await ack(response_action="update", view=notice("Iterable Sync", refusal))
            case "block_suggestion":
                return await ack(options=[])
            case "event_callback":
                if refusal != OTHER_WORKSPACE and body["event"].get("tab") == "home":
                    self._replies.start(_show_at_home(client, body["event"]["user"], refusal))
                return await ack()
            case None:  # a slash command: only the person sees the text of its acknowledgement
                return await ack(refusal)
        if _is_home(body):
            self._replies.start(_show_at_home(client, body["user"]["id"], refusal))
        elif body.get("type") != "view_closed":
            self._replies.start(reply_privately(client, Actor.of(body), Message(refusal, [section(refusal)])))
        return await ack()


async def _own_team(home: HomeWorkspace, client: AsyncWebClient) -> str | None:
    """Return the workspace of the token, or None while Slack does not answer."""
    if home.team_id is None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                home.team_id = str((await client.auth_test())["team_id"])
        except ERRORS as error:
            logger.warning("could not find out which workspace the token belongs to: %s", classify(error).word)
    return home.team_id


async def _show_at_home(client: AsyncWebClient, person: str, text: str) -> None:
    view = {"type": "home", "blocks": [section(text).to_dict()]}
    try:
        await client.views_publish(user_id=person, view=view)
    except ERRORS as error:
        logger.warning("could not show a refusal: %s", classify(error).word)


def _is_home(body: Mapping[str, Any]) -> bool:
    opened: dict[str, Any] = body.get("event") or {}
    return (body.get("view") or {}).get("type") == "home" or opened.get("type") == "app_home_opened"


def _person_of(body: Mapping[str, Any]) -> str | None:
    """Return who caused a request."""
    if isinstance(body.get("user"), dict):
        return str(body["user"]["id"])
    person = body.get("user_id") or (body.get("event") or {}).get("user")
    return person if isinstance(person, str) else None


def _team_of_person(body: Mapping[str, Any]) -> str | None:
    """Return the workspace of the person who caused an interaction, if it says so.

    In a channel of Slack Connect it differs from that of the app (slackapi/java-slack-sdk#1041, slackapi/bolt-js#1614).
    """
    user = body.get("user")
    return user.get("team_id") if isinstance(user, dict) else None
