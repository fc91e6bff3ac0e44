"""The bodies that the app receives: commands, shortcuts, actions, suggestions, submissions, events."""

from __future__ import annotations

from typing import Any

from sandbox.slack.workspace.models import Channel, Json, Message, User, View
from sandbox.slack.workspace.workspace import World

TOKEN = "local-verification-token"  # noqa: S105 - deprecated by Slack, never checked


def command(world: World, user: User, channel: Channel, name: str, text: str) -> Json:
    """Return the payload of a slash command."""
    team = world.teams[user.team_id]
    return {
        "token": TOKEN,
        "team_id": team.id,
        "team_domain": team.domain,
        "channel_id": channel.id,
        "channel_name": "directmessage" if channel.is_im else channel.name,
        "user_id": user.id,
        "user_name": user.name,
        "command": name,
        "text": text,
        "api_app_id": world.app.id,
        **organization_of(world, team.id),
        "is_enterprise_install": str(_is_org_wide(world, team.id)).lower(),
        "response_url": world.new_response_url(user, channel.id),
        "trigger_id": world.new_trigger(user, channel.id).id,
    }


def _interaction(world: World, user: User, kind: str) -> Json:
    """Return the fields that all interactions share.

    In a Slack Connect channel, a click by a person from another workspace has the app's workspace as `team`, and the
    person's as `user.team_id` (seen in slackapi/java-slack-sdk#1041). A submitted modal has the person's in both, and
    the app's as `view.app_installed_team_id` (seen in slackapi/bolt-js#1614).
    """
    team = world.teams[user.team_id if kind in ("view_submission", "view_closed") else user.app_team_id]
    return {
        "type": kind,
        "team": {"id": team.id, "domain": team.domain},
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id},
        "api_app_id": world.app.id,
        "token": TOKEN,
        "enterprise": {"id": team.organization, "name": world.organizations[team.organization]}
        if team.organization
        else None,
        "is_enterprise_install": _is_org_wide(world, team.id),
    }


def _is_org_wide(world: World, team_id: str) -> bool:
    install = world.installs.get(team_id)
    return install is not None and bool(install.organization)


def organization_of(world: World, team_id: str) -> Json:
    """Return the fields that a slash command has in a workspace of an organization."""
    organization = world.teams[team_id].organization
    if not organization:
        return {}
    return {"enterprise_id": organization, "enterprise_name": world.organizations[organization]}


def _channel(channel: Channel) -> Json:
    return {"id": channel.id, "name": "directmessage" if channel.is_im else channel.name}


def global_shortcut(world: World, user: User, callback_id: str) -> Json:
    """Return the payload of a global shortcut."""
    return {
        **_interaction(world, user, "shortcut"),
        "callback_id": callback_id,
        "action_ts": world.new_ts(),
        "trigger_id": world.new_trigger(user).id,
    }


def message_shortcut(world: World, user: User, callback_id: str, message: Message) -> Json:
    """Return the payload of a message shortcut."""
    return {
        **_interaction(world, user, "message_action"),
        "callback_id": callback_id,
        "action_ts": world.new_ts(),
        "trigger_id": world.new_trigger(user, message.channel.id).id,
        "response_url": world.new_response_url(user, message.channel.id, message),
        "message_ts": message.ts,
        "channel": _channel(message.channel),
        "message": message.as_json(),
    }


def _in_message(user: User, message: Message) -> Json:
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel.id,
        "is_ephemeral": bool(message.only_for),
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    return {
        "container": container,
        "channel": _channel(message.channel),
        "message": message.as_json(),
        "state": {"values": message.values.get(user.id, {})},
    }


def _in_view(view: View) -> Json:
    return {"container": {"type": "view", "view_id": view.id}, "view": view.as_json()}


def block_actions(world: World, user: User, place: Message | View, action: Json) -> Json:
    """Return the payload of a button press or a menu choice, in a message, modal or home tab."""
    channel = place.channel if isinstance(place, View) else place.channel.id
    payload = _interaction(world, user, "block_actions") | {"trigger_id": world.new_trigger(user, channel).id}
    payload["actions"] = [action | {"action_ts": world.new_ts()}]
    if isinstance(place, View):
        return payload | _in_view(place) | {"state": {"values": place.values}}
    response_url = world.new_response_url(user, place.channel.id, place)
    return payload | _in_message(user, place) | {"response_url": response_url}


def block_suggestion(
    world: World, user: User, place: Message | View, block_id: str, action_id: str, typed: str
) -> Json:
    """Return the payload of letters typed into an external_select."""
    container = _in_view(place) if isinstance(place, View) else _in_message(user, place)
    return (
        _interaction(world, user, "block_suggestion")
        | container
        | {"block_id": block_id, "action_id": action_id, "value": typed}
    )


def view_submission(world: World, user: User, view: View, response_urls: list[Json]) -> Json:
    """Return the payload of a submitted modal."""
    return {
        **_interaction(world, user, "view_submission"),
        "trigger_id": world.new_trigger(user, view.channel).id,
        "view": view.as_json(),
        "response_urls": response_urls,
    }


def view_closed(world: World, user: User, view: View, is_cleared: bool) -> Json:
    """Return the payload of a modal that was closed without being submitted."""
    return {
        **_interaction(world, user, "view_closed"),
        "view": view.as_json(),
        "is_cleared": is_cleared,
    }


def event(world: World, team_id: str, body: dict[str, Any]) -> Json:
    """Return an event in the wrapper of the Events API.

    If the app is installed for an organization, the authorization names the organization and no workspace
    (slackapi/bolt-python, tests of org-wide apps; api.slack.com/enterprise/apps/reference).
    """
    install = world.installs[team_id]
    organization = world.teams[team_id].organization or None
    return {
        "token": TOKEN,
        "team_id": team_id,
        "context_team_id": team_id,
        "context_enterprise_id": organization,
        "api_app_id": world.app.id,
        "event": body,
        "type": "event_callback",
        "event_id": world.new_id("Ev"),
        "event_time": int(world.now()),
        "authorizations": [
            {
                "enterprise_id": organization,
                "team_id": None if install.organization else team_id,
                "user_id": install.bot_user,
                "is_bot": True,
                "is_enterprise_install": bool(install.organization),
            }
        ],
        "is_ext_shared_channel": False,
    }
