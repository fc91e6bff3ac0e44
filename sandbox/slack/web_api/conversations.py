"""Conversations and people: conversations.open/info/list/members, users.info/list/lookupByEmail."""

from __future__ import annotations

from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.web_api.request import ApiRequest
from sandbox.slack.workspace.models import Channel, Json

MOST_A_PAGE = 1_000


def open_(request: ApiRequest) -> Json:
    """conversations.open, for one person"""
    if request.text("channel"):
        channel = request.visible_channel(request.text("channel"))
    else:
        people = [user_id for user_id in request.text("users").split(",") if user_id]
        if not people:
            raise SlackError("users_list_not_supplied")
        if len(people) > 1:
            raise SlackError("method_not_supported_for_channel_type")
        channel = request.world.direct_message(request.user(people[0]))
    shown = channel.as_json(request.caller.bot_user) if request.flag("return_im") else {"id": channel.id}
    return {"channel": shown}


def info(request: ApiRequest) -> Json:
    """conversations.info"""
    shown = request.visible_channel(request.text("channel")).as_json(request.caller.bot_user)
    if not request.flag("include_num_members"):
        shown.pop("num_members", None)
    return {"channel": shown}


def list_(request: ApiRequest) -> Json:
    """conversations.list"""
    kinds = (request.text("types") or "public_channel").split(",")
    bot = request.caller.bot_user

    def is_wanted(channel: Channel) -> bool:
        kind = "im" if channel.is_im else "private_channel" if channel.is_private else "public_channel"
        seen = bot in channel.members or kind == "public_channel"
        hidden = channel.is_archived and request.flag("exclude_archived")
        return channel.team_id == request.workspace() and kind in kinds and seen and not hidden

    channels = [
        conversation.as_json(bot) for conversation in request.world.channels.values() if is_wanted(conversation)
    ]
    return _page(request, "channels", channels)


def members(request: ApiRequest) -> Json:
    """conversations.members"""
    return _page(request, "members", sorted(request.visible_channel(request.text("channel")).members))


def users_info(request: ApiRequest) -> Json:
    """users.info"""
    with_email = "users:read.email" in request.caller.scopes
    return {"user": request.user(request.text("user")).as_json(with_email)}


def users_list(request: ApiRequest) -> Json:
    """users.list"""
    with_email = "users:read.email" in request.caller.scopes
    team = [user for user in request.world.users.values() if user.team_id == request.workspace()]
    return _page(request, "members", [user.as_json(with_email) for user in team])


def users_lookup_by_email(request: ApiRequest) -> Json:
    """users.lookupByEmail; users_not_found if no one in the workspace has the address
    (docs.slack.dev/reference/methods/users.lookupByEmail)."""
    wanted = request.needed("email").casefold()
    for user in request.world.people(request.team_id):
        if user.email.casefold() == wanted and not user.deleted:
            return {"user": user.as_json(with_email=True)}
    raise SlackError("users_not_found")


def _page(request: ApiRequest, key: str, items: list[Any]) -> Json:
    size = min(request.number("limit", 100) or 100, MOST_A_PAGE)
    cursor = request.text("cursor")
    if cursor and not cursor.isdigit():
        raise SlackError("invalid_cursor")
    start = int(cursor or 0)
    end = start + size
    following = str(end) if end < len(items) else ""
    return {key: items[start:end], "response_metadata": {"next_cursor": following}}
