"""Modals and home tabs: views.open, views.push, views.update, views.publish."""

from __future__ import annotations

from sandbox.slack.errors import SlackError
from sandbox.slack.validation import checked_view
from sandbox.slack.web_api.chat import with_ids
from sandbox.slack.web_api.request import ApiRequest
from sandbox.slack.workspace.models import Json, User, View
from sandbox.slack.workspace.view_state import first_values
from sandbox.slack.workspace.workspace import World

MOST_STACKED = 3


def open_(request: ApiRequest) -> Json:
    """views.open"""
    source = checked_view(request.decoded("view"), "modal")
    user, channel = _triggered(request)
    return {"view": show_view(request.world, user, source, on_top=False, channel=channel).as_json()}


def push(request: ApiRequest) -> Json:
    """views.push"""
    source = checked_view(request.decoded("view"), "modal")
    user, channel = _triggered(request)
    if not user.views:
        raise SlackError("not_found")
    return {"view": show_view(request.world, user, source, on_top=True, channel=channel).as_json()}


def update(request: ApiRequest) -> Json:
    """views.update, by view_id or external_id"""
    view_id, external_id = request.text("view_id"), request.text("external_id")
    if not view_id and not external_id:
        request.needed("view_id")
    source = checked_view(request.decoded("view"), "modal")
    for view in request.world.open_views():
        named = view.id == view_id if view_id else view.external_id == external_id
        if named and request.caller.covers(view.team_id) and view.source["type"] == "modal":
            _check_hash(request, view)
            change_view(request.world, view, source)
            return {"view": view.as_json()}
    raise SlackError("not_found")


def publish(request: ApiRequest) -> Json:
    """views.publish"""
    world = request.world
    user_id = request.needed("user_id")
    source = checked_view(request.decoded("view"), "home")
    if not world.app.home_enabled:
        raise SlackError("not_enabled")
    user = request.user(user_id)
    if user.home is None:
        if request.text("hash"):
            raise SlackError("hash_conflict")
        user.home = world.new_view(user, source)
    else:
        _check_hash(request, user.home)
    change_view(world, user.home, source)
    return {"view": user.home.as_json()}


def show_view(world: World, user: User, source: Json, on_top: bool, channel: str = "") -> View:
    """Open a modal for a person, on top of the open ones or instead of them."""
    external_id = source.get("external_id")
    if external_id and any(
        open_view.external_id == external_id and open_view.team_id == user.app_team_id
        for open_view in world.open_views()
    ):
        raise SlackError("duplicate_external_id")
    if on_top and len(user.views) >= MOST_STACKED:
        raise SlackError("push_limit_reached")
    if not on_top:
        user.views.clear()
    view = world.new_view(user, source, under=user.views[-1] if user.views else None)
    view.channel = channel
    user.views.append(view)
    change_view(world, view, source)
    return view


def change_view(world: World, view: View, source: Json) -> None:
    """Replace the content of a view; typed values stay if block_id and action_id are the same."""
    view.source = {**source, "blocks": with_ids(world, source["blocks"])}
    view.values = first_values(view.blocks, view.values, view.channel)
    view.hash = world.new_hash()
    view.errors, view.problem = {}, None
    world.changed()


def _triggered(request: ApiRequest) -> tuple[User, str]:
    """Use up the trigger. Returns the person and the conversation of its action."""
    world = request.world
    trigger = world.triggers.get(request.needed("trigger_id"))
    if trigger is None or not request.caller.covers(world.users[trigger.user].app_team_id):
        raise SlackError("invalid_trigger_id")
    if trigger.used:
        raise SlackError("exchanged_trigger_id")
    if trigger.expires < world.now():
        raise SlackError("expired_trigger_id")
    trigger.used = True
    return world.users[trigger.user], trigger.channel


def _check_hash(request: ApiRequest, view: View) -> None:
    if request.text("hash") and request.text("hash") != view.hash:
        raise SlackError("hash_conflict")
