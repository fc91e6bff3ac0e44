"""The world: all objects of the local Slack, with look-ups, changes, and notifications of changes."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.slack.workspace.app import App
from sandbox.slack.workspace.grants import Call, Code, Install, ResponseUrl, Trigger
from sandbox.slack.workspace.models import Channel, File, Message, Team, User, View
from sandbox.slack.workspace.user_groups import UserGroup

if TYPE_CHECKING:
    from sandbox.slack.workspace.models import Json

TRIGGER_SECONDS = 3.0
RESPONSE_URL_SECONDS = 30 * 60.0
CODE_SECONDS = 10 * 60.0
TOKEN_LIFETIME_SECONDS = 43_200
CALLS_KEPT = 2_000


class World:
    """The state of the local Slack."""

    def __init__(self, app: App, base_url: str) -> None:
        self.app = app
        self.base_url = base_url
        self.teams: dict[str, Team] = {}
        self.users: dict[str, User] = {}
        self.user_groups: dict[str, UserGroup] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, File] = {}
        self.uploads: dict[str, File] = {}
        self.installs: dict[str, Install] = {}
        self.tokens: dict[str, Install] = {}
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.codes: dict[str, Code] = {}
        self.organizations: dict[str, str] = {}  # names by id (Enterprise Grid)
        self.token_ends: dict[str, float] = {}  # when a token expires (token rotation)
        self.token_lifetime = TOKEN_LIFETIME_SECONDS
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.trigger_seconds = TRIGGER_SECONDS
        self.asked: set[str] = set()  # the methods that were called, and the other names in `faults`
        self.version = 0
        self._changed = asyncio.Event()
        self._numbers = itertools.count(1)
        self._last_ts = 0
        self._ahead = 0.0

    def now(self) -> float:
        """Return the seconds since 1970 by this world's clock."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Advance the clock, to expire triggers and response_urls."""
        self._ahead += seconds
        self.changed()

    def changed(self) -> None:
        """Notify all waiters of a change."""
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def next_change(self, since: int) -> int:
        """Return the version, once it is later than `since`."""
        while self.version <= since:
            await self._changed.wait()
        return self.version

    def new_id(self, prefix: str) -> str:
        """Return a unique id in Slack's format."""
        return f"{prefix}0{next(self._numbers):04d}{secrets.token_hex(3).upper()}"

    def new_ts(self) -> str:
        """Return a message time stamp later than all before it."""
        self._last_ts = max(self._last_ts + 1, int(self.now() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    # -- people and conversations ---------------------------------------------------------------

    def people(self, team_id: str | None = None) -> list[User]:
        """Return the people (not bots) of a workspace, or of all."""
        return [user for user in self.users.values() if not user.is_bot and (not team_id or user.team_id == team_id)]

    def direct_message(self, user: User) -> Channel:
        """Return the conversation of this person with the bot. Opens it if there is none yet."""
        for channel in self.channels.values():
            if channel.is_im and channel.person == user.id:
                return channel
        install = self.installs.get(user.app_team_id)
        members = {user.id} | ({install.bot_user} if install else set())
        channel = Channel(
            self.new_id("D"), user.app_team_id, self.app.name, is_im=True, members=members, person=user.id
        )
        self.channels[channel.id] = channel
        return channel

    def message(self, channel: str, ts: str) -> Message | None:
        """Return the message at a time stamp, or None."""
        conversation = self.channels.get(channel)
        return next((message for message in conversation.messages if message.ts == ts), None) if conversation else None

    def add_message(self, message: Message) -> Message:
        """Add a message to its conversation."""
        message.channel.messages.append(message)
        self.changed()
        return message

    # -- views ----------------------------------------------------------------------------------

    def open_views(self) -> Iterator[View]:
        """Yield every modal and home tab."""
        for user in self.users.values():
            yield from user.views
            if user.home:
                yield user.home

    def new_view(self, user: User, source: Json, under: View | None = None) -> View:
        """Create a view that is not shown yet."""
        install = self.installs[user.app_team_id]
        view_id = self.new_id("V")
        return View(
            id=view_id,
            team_id=user.app_team_id,
            user=user.id,
            bot_id=install.bot_id,
            app_id=self.app.id,
            source=source,
            hash=self.new_hash(),
            root_id=under.root_id if under else view_id,
            previous_id=under.id if under else None,
        )

    def new_hash(self) -> str:
        """Return a new hash for a view."""
        return f"{int(self.now())}.{secrets.token_hex(4)}"

    # -- permissions that expire ----------------------------------------------------------------

    def new_trigger(self, user: User, channel: str = "") -> Trigger:
        """Create a trigger for this person in this conversation."""
        trigger_id = f"{next(self._numbers)}.{secrets.token_hex(8)}"
        trigger = Trigger(trigger_id, user.id, self.now() + self.trigger_seconds, channel)
        self.triggers[trigger.id] = trigger
        return trigger

    def new_response_url(self, user: User, channel: str, origin: Message | None = None) -> str:
        """Create the address for answers to an interaction of this person."""
        response_url = ResponseUrl(
            secrets.token_urlsafe(12), user.id, channel, self.now() + RESPONSE_URL_SECONDS, origin
        )
        self.response_urls[response_url.id] = response_url
        return f"{self.base_url}/response/{response_url.id}"

    # -- installs -------------------------------------------------------------------------------

    def install(self, team_id: str, user_id: str, scopes: frozenset[str]) -> Install:
        """Install the app in a workspace, or extend its scopes there; a valid token stays."""
        team = self.teams[team_id]
        old = self.installs.get(team_id)
        if old and not old.gone:
            old.scopes |= scopes
            return old
        bot_user = f"U{team_id[1:]}BOT"
        self.users[bot_user] = User(bot_user, team_id, self.app.name, self.app.title, is_bot=True)
        suffix = f"-{secrets.token_hex(4)}" if old else ""
        token = f"xoxb-local-{team.domain}{suffix}"
        new = Install(team_id, bot_user, f"B{team_id[1:]}BOT", token, scopes, user_id)
        self.installs[team_id] = self.tokens[token] = new
        for channel in self.channels.values():
            if channel.is_im and channel.team_id == team_id:
                channel.members.add(bot_user)
        self.changed()
        return new
