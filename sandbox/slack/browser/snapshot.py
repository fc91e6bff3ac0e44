"""The workspace as one person sees it, in JSON for the page."""

from __future__ import annotations

from typing import Any

from sandbox.slack.workspace.models import Channel, Json, Message, User, View
from sandbox.slack.workspace.workspace import World

MOST_MESSAGES = 200


def snapshot(world: World, user: User, channel_id: str | None, connections: int) -> Json:
    """Return everything that the page shows to this person."""
    install = world.installs.get(user.team_id)
    installed = install is not None and install.gone is None
    channels = [
        _channel(channel, user, install.bot_user if install else "")
        for channel in world.channels.values()
        if channel.team_id == user.team_id and (user.id in channel.members or channel.person == user.id)
    ]
    selected = world.channels.get(channel_id or "")
    visible = selected is not None and any(channel["id"] == selected.id for channel in channels)
    return {
        "version": world.version,
        "me": _person(world, user),
        "people": [_person(world, person) for person in world.people()],
        "app": {
            "title": world.app.title,
            "name": world.app.name,
            "installed": installed,
            "bot": install.bot_user if install else "",
            "home_enabled": world.app.home_enabled,
            "messages_read_only": world.app.messages_read_only,
            "connections": connections,
            "commands": [vars(command) for command in world.app.commands] if installed else [],
            "shortcuts": [vars(shortcut) for shortcut in world.app.shortcuts] if installed else [],
        },
        "channels": channels,
        "messages": _messages(world, selected, user) if selected and visible else [],
        "views": [_view(view) for view in user.views],
        "home": _view(user.home) if user.home else None,
        "names": {member.id: member.real_name for member in world.users.values()}
        | {channel.id: channel.name for channel in world.channels.values()}
        | {group.id: group.handle for group in world.user_groups.values()},
    }


def _person(world: World, user: User) -> Json:
    return {
        "id": user.id,
        "name": user.name,
        "real_name": user.real_name,
        "title": user.title,
        "team": world.teams[user.team_id].name,
        "team_id": user.team_id,
    }


def _channel(channel: Channel, user: User, bot: str) -> Json:
    seen = [message for message in channel.messages if message.only_for in (None, user.id)]
    return {
        "id": channel.id,
        "name": channel.name,
        "topic": channel.topic,
        "is_private": channel.is_private,
        "is_im": channel.is_im,
        "is_archived": channel.is_archived,
        "has_bot": bot in channel.members,
        "members": len(channel.members),
        "last": seen[-1].ts if seen else "",
        "last_by": seen[-1].user if seen else "",
    }


def _messages(world: World, channel: Channel, user: User) -> list[Json]:
    seen = [message for message in channel.messages if message.only_for in (None, user.id)][-MOST_MESSAGES:]
    return [_message(world, message, seen, user) for message in seen]


def _message(world: World, message: Message, seen: list[Message], user: User) -> Json:
    replies = [reply for reply in seen if reply.thread_ts == message.ts]
    shown: dict[str, Any] = message.as_json()
    author = world.users.get(message.user)
    shown |= {
        "author": author.real_name if author else "Workspace",
        "by_app": bool(message.bot_id),
        "only_for_me": bool(message.only_for),
        "broadcast": message.broadcast,
        "replies": len(replies),
        "last_reply": replies[-1].ts if replies else "",
        "values": message.values.get(user.id, {}),
    }
    return shown


def _view(view: View) -> Json:
    return view.as_json() | {"errors": view.errors, "problem": view.problem}
