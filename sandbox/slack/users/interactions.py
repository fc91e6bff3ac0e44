"""Interactions: buttons, menus, typeaheads, shortcuts."""

from __future__ import annotations

from typing import Any

from sandbox.slack.delivery import payloads
from sandbox.slack.delivery.dispatcher import Delivery
from sandbox.slack.users.outcome import Outcome, trouble
from sandbox.slack.validation.checker import Checker
from sandbox.slack.validation.elements import check_suggestions
from sandbox.slack.workspace.models import Json, Message, User, View
from sandbox.slack.workspace.view_state import NotPossibleError, chosen, find_element, options_of

Place = Message | View


async def click(
    delivery: Delivery, user: User, place: Place, name: str, value: Any = None, confirm: bool = True
) -> Outcome:
    """Press the button `action_id` (or `block_id/action_id`), or choose `value` in a menu."""
    check_on_screen(delivery, user, place)
    block, element = find_element(place.blocks, name, value)
    if element.get("confirm") and not confirm:
        return Outcome(sent=False)
    action: Json = {
        "type": element["type"],
        "action_id": element["action_id"],
        "block_id": block["block_id"],
    }
    if element["type"] == "button":
        action["text"] = element["text"]
        if "value" in element:
            action["value"] = element["value"]
    elif element["type"] == "overflow":
        named = (value, str(value))
        picked = [
            option for option in options_of(element) if option["value"] in named or option["text"]["text"] in named
        ]
        if not picked:
            raise NotPossibleError(f"there is no option {value!r}")
        action["selected_option"] = picked[0]
    else:
        action |= put(user, place, block, element, value)
    return await act(delivery, user, place, action)


def check_on_screen(delivery: Delivery, user: User, place: Place) -> None:
    """Raise NotPossibleError if the element is not, or no longer, on the person's screen."""
    if isinstance(place, View):
        is_visible = place is user.home or place in user.views
    else:
        is_visible = place in place.channel.messages and place.only_for in (None, user.id)
    if not is_visible:
        raise NotPossibleError("this message or view is not on the screen, or no longer")


def put(user: User, place: Place, block: Json, element: Json, value: Any) -> Json:
    """Enter a value into an input and return its new state."""
    offered = place.suggested.get(element["action_id"], []) if isinstance(place, View) else []
    state = chosen(element, value, offered)
    values = place.values if isinstance(place, View) else place.values.setdefault(user.id, {})
    values.setdefault(block["block_id"], {})[element["action_id"]] = state
    return state


async def act(delivery: Delivery, user: User, place: Place, action: Json) -> Outcome:
    """Send an action to the app and wait for its acknowledgement."""
    answer = await delivery.send("interactive", payloads.block_actions(delivery.world, user, place, action))
    if answer.error:
        return Outcome(answer.error, trouble(answer.error))
    return Outcome(payload=answer.payload)


async def suggest(delivery: Delivery, user: User, place: Place, name: str, typed: str) -> list[Json]:
    """Type into an external_select and return the options that the app offers (groups opened).

    Below `min_query_length` letters the app is not asked, and there are no options.
    """
    check_on_screen(delivery, user, place)
    block, element = find_element(place.blocks, name)
    least = element.get("min_query_length")
    if len(typed) < (3 if least is None else least):
        return []
    payload = payloads.block_suggestion(delivery.world, user, place, block["block_id"], element["action_id"], typed)
    answer = await delivery.send("interactive", payload)
    if answer.error:
        raise NotPossibleError(f"the options could not be loaded: {answer.error}")
    check = Checker("modal")
    check_suggestions(check, answer.payload)
    if check.problems:
        raise NotPossibleError(f"the app offered options that Slack refuses: {check.problems[0]}")
    options = options_of(answer.payload)
    if isinstance(place, View):
        known = place.suggested.setdefault(element["action_id"], [])
        known += [option for option in options if option not in known]
    return options


async def shortcut(delivery: Delivery, user: User, callback_id: str, message: Message | None = None) -> Outcome:
    """Use a shortcut on a message, or a global one."""
    world = delivery.world
    kind = "message" if message else "global"
    if not any(shortcut.callback_id == callback_id and shortcut.kind == kind for shortcut in world.app.shortcuts):
        raise NotPossibleError(f"the app has no {kind} shortcut {callback_id!r}")
    if message:
        payload = payloads.message_shortcut(world, user, callback_id, message)
    else:
        payload = payloads.global_shortcut(world, user, callback_id)
    answer = await delivery.send("interactive", payload)
    if answer.error:
        return Outcome(answer.error, trouble(answer.error))
    return Outcome(payload=answer.payload)
