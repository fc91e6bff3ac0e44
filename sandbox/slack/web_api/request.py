"""One Web API request: its decoded arguments and its caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from sandbox.slack.errors import SlackError
from sandbox.slack.workspace.grants import Install
from sandbox.slack.workspace.models import Channel, User
from sandbox.slack.workspace.workspace import World


@dataclass
class ApiRequest:
    """The input of a method: the world, the arguments, and the install of the token."""

    world: World
    method: str
    args: dict[str, Any]
    token: str = ""
    install: Install | None = None
    basic: tuple[str, str] | None = None  # client id and secret

    @property
    def team_id(self) -> str:
        """The workspace; empty if the token has none."""
        return (self.install.team_id or self.install.organization) if self.install else ""

    def workspace(self) -> str:
        """Return the workspace to act on: that of the token, or the argument `team_id` for one of an organization.

        Some methods need the argument then (api.slack.com/enterprise/apps/changes-apis).
        """
        if not self.caller.organization:
            return self.team_id
        if not self.caller.covers(self.text("team_id")):
            raise SlackError("missing_argument" if not self.text("team_id") else "team_access_not_granted")
        return self.text("team_id")

    @property
    def caller(self) -> Install:
        """The install that calls."""
        if self.install is None:
            raise SlackError("not_allowed_token_type")
        return self.install

    def text(self, name: str) -> str:
        """Return an argument as text; empty if it is missing."""
        value = self.args.get(name)
        return "" if value is None else str(value)

    def flag(self, name: str) -> bool:
        """Return an argument as a boolean, in any of the spellings that clients use."""
        return self.text(name).lower() in ("1", "true")

    def number(self, name: str, default: int) -> int:
        """Return an argument as a number."""
        try:
            return int(self.text(name) or default)
        except ValueError:
            raise SlackError("invalid_arguments") from None

    def needed(self, name: str) -> str:
        """Return a required argument. Raises Slack's error if it is missing."""
        if not self.text(name):
            message = f"[ERROR] missing required field: {name}"
            raise SlackError("invalid_arguments", response_metadata={"messages": [message]})
        return self.text(name)

    def decoded(self, name: str, error: str = "invalid_arguments") -> Any:
        """Return an argument that is JSON, or JSON inside a string."""
        value = self.args.get(name)
        if not isinstance(value, str):
            return value
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            raise SlackError(error) from None

    def user(self, user_id: str) -> User:
        """Return a person or bot of the caller's workspace, or of one that shares a channel with it."""
        user = self.world.users.get(user_id)
        if user is None or not self.caller.covers(user.app_team_id):
            raise SlackError("user_not_found")
        return user

    def visible_channel(self, name: str) -> Channel:
        """Return a conversation that the caller can see, by its id."""
        channel = self.world.channels.get(name)
        if channel is None or not self.caller.covers(channel.team_id):
            raise SlackError("channel_not_found")
        if (channel.is_private or channel.is_im) and self.caller.bot_user not in channel.members:
            raise SlackError("channel_not_found")
        return channel


async def read_arguments(request: web.Request) -> dict[str, Any]:
    """Return the arguments from the query string and the body, JSON or form."""
    args: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        body = await request.read()
        if body:
            try:
                decoded = orjson.loads(body)
            except orjson.JSONDecodeError:
                raise SlackError("invalid_json") from None
            if not isinstance(decoded, dict):
                raise SlackError("json_not_object")
            args |= decoded
    elif request.method == "POST":
        form = await request.post()
        args |= dict(form)
    return args
