"""Actions that the page performs for a person, each by a function of `sandbox.slack.users`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.slack.delivery.dispatcher import Delivery
from sandbox.slack.users import administration, composing, interactions, modals
from sandbox.slack.users.outcome import Outcome
from sandbox.slack.workspace.models import Channel, Json, Message, User, View
from sandbox.slack.workspace.view_state import NotPossibleError

Action = Callable[[Delivery, User, Json], Awaitable[Json]]


def _shown(outcome: Outcome) -> Json:
    return {"ok": not outcome.error, "shown": outcome.shown, "errors": outcome.errors}


def _channel(delivery: Delivery, body: Json) -> Channel:
    channel = delivery.world.channels.get(body.get("channel", ""))
    if channel is None:
        raise NotPossibleError("there is no such conversation")
    return channel


def _view(user: User, body: Json) -> View:
    views = [*user.views, *([user.home] if user.home else [])]
    for view in views:
        if view.id == body.get("view"):
            return view
    raise NotPossibleError("this window was closed")


def _place(delivery: Delivery, user: User, body: Json) -> Message | View:
    if body.get("view"):
        return _view(user, body)
    message = delivery.world.message(body.get("channel", ""), body.get("ts", ""))
    if message is None:
        raise NotPossibleError("this message was deleted")
    return message


def _name(body: Json) -> str:
    return f"{body['block_id']}/{body['action_id']}"


def _values(delivery: Delivery, values: dict[str, Any]) -> dict[str, Any]:
    """Convert values of the page, which names files by their ids."""
    files = delivery.world.files
    return {
        name: [files[file_id] for file_id in value["files"]] if isinstance(value, dict) and "files" in value else value
        for name, value in values.items()
    }


async def write(delivery: Delivery, user: User, body: Json) -> Json:
    """Send a message or a slash command."""
    channel, text = _channel(delivery, body), str(body["text"])
    thread_ts = body.get("thread_ts") or None
    if text.startswith("/"):
        return _shown(await composing.command(delivery, user, channel, text, thread_ts))
    if channel.is_archived:
        raise NotPossibleError("this channel is archived")
    composing.say(delivery.world, user, channel, text, thread_ts)
    return {"ok": True}


async def click(delivery: Delivery, user: User, body: Json) -> Json:
    """Press a button or choose an option, in a message, modal or home tab."""
    place = _place(delivery, user, body)
    if isinstance(place, View):
        await modals.fill(delivery, user, place, _values(delivery, body.get("values") or {}), tell=False)
    return _shown(await interactions.click(delivery, user, place, _name(body), body.get("value")))


async def change(delivery: Delivery, user: User, body: Json) -> Json:
    """Change an input that sends its action to the app at once."""
    view = _view(user, body)
    await modals.fill(delivery, user, view, _values(delivery, body.get("values") or {}), tell=False)
    changed = _values(delivery, {_name(body): body.get("value")})
    return _shown(await modals.fill(delivery, user, view, changed))


async def suggest(delivery: Delivery, user: User, body: Json) -> Json:
    """Type letters into a typeahead."""
    place = _place(delivery, user, body)
    options = await interactions.suggest(delivery, user, place, _name(body), str(body.get("typed", "")))
    return {"ok": True, "options": options}


async def submit(delivery: Delivery, user: User, body: Json) -> Json:
    """Submit a modal."""
    view = _view(user, body)
    await modals.fill(delivery, user, view, _values(delivery, body.get("values") or {}), tell=False)
    return _shown(await modals.submit(delivery, user, view))


async def close(delivery: Delivery, user: User, body: Json) -> Json:
    """Close a modal, by its button or the x."""
    await modals.close(delivery, user, _view(user, body), bool(body.get("everything")))
    return {"ok": True}


async def shortcut(delivery: Delivery, user: User, body: Json) -> Json:
    """Use a message shortcut or a global one."""
    message = None
    if body.get("ts"):
        message = delivery.world.message(body["channel"], body["ts"])
    return _shown(await interactions.shortcut(delivery, user, body["callback_id"], message))


async def home(delivery: Delivery, user: User, body: Json) -> Json:
    """Open the home or messages tab of the app."""
    return _shown(await administration.open_home(delivery, user, body.get("tab", "home")))


async def invite(delivery: Delivery, user: User, body: Json) -> Json:
    """Invite the bot to a channel."""
    composing.invite(delivery.world, user, _channel(delivery, body))
    return {"ok": True}


ACTIONS: dict[str, Action] = {
    "write": write,
    "click": click,
    "tell": change,
    "suggest": suggest,
    "submit": submit,
    "close": close,
    "shortcut": shortcut,
    "home": home,
    "invite": invite,
}
