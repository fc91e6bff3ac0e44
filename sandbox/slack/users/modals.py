"""Actions on a modal: fill it in, submit it, close it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.slack.delivery import payloads
from sandbox.slack.delivery.dispatcher import Delivery
from sandbox.slack.errors import SlackError
from sandbox.slack.users.interactions import act, check_on_screen, put, suggest
from sandbox.slack.users.outcome import Outcome, trouble
from sandbox.slack.validation import checked_view
from sandbox.slack.web_api.views import change_view, show_view
from sandbox.slack.workspace.models import File, Json, User, View
from sandbox.slack.workspace.view_state import TEXT_INPUTS, NotPossibleError, chosen, find_element, is_empty
from sandbox.slack.workspace.workspace import World

MOST_FILE_BYTES = 10 * 1024 * 1024
INVALID = "The app answered with something that can't be shown here."


async def fill(delivery: Delivery, user: User, view: View, values: Mapping[str, Any], tell: bool = True) -> Outcome:
    """Enter values into inputs named `action_id` or `block_id/action_id`.

    With `tell`, inputs that dispatch actions send them; otherwise the app gets the values only with the submission. An
    unknown option of an external_select is looked up by typing it.
    """
    check_on_screen(delivery, user, view)
    last = Outcome(sent=False)
    for name, value in values.items():
        block, element = find_element(view.blocks, name)
        if "external_select" in element["type"] and isinstance(value, str | int):
            try:
                chosen(element, value, view.suggested.get(element["action_id"], []))
            except NotPossibleError:
                await suggest(delivery, user, view, name, str(value))
        if element["type"] == "file_input":
            _check_files(element, value)
        state = put(user, view, block, element, value)
        delivery.world.changed()
        is_dispatched = block["type"] != "input" or (block.get("dispatch_action") and _dispatches(element))
        if tell and is_dispatched:
            action = {"action_id": element["action_id"], "block_id": block["block_id"], **state}
            last = await act(delivery, user, view, action)
    return last


def _dispatches(element: Json) -> bool:
    config = element.get("dispatch_action_config") or {}
    triggers = config.get("trigger_actions_on", ["on_enter_pressed"])
    return element["type"] not in TEXT_INPUTS or bool(triggers)


def _check_files(element: Json, value: Any) -> None:
    files = value if isinstance(value, list) else [value] if value else []
    if len(files) > (element.get("max_files") or 10):
        raise NotPossibleError("more files than this input takes")
    for file in files:
        name, size = (file.name, file.size) if isinstance(file, File) else (file["name"], file["size"])
        allowed = [extension.lstrip(".").lower() for extension in element.get("filetypes") or []]
        if allowed and name.rsplit(".", 1)[-1].lower() not in allowed:
            raise NotPossibleError(f"{name} is not one of: {', '.join(allowed)}")
        if size > MOST_FILE_BYTES:
            raise NotPossibleError(f"{name} is larger than 10 MB")


async def submit(delivery: Delivery, user: User, view: View) -> Outcome:
    """Press the submit button, and apply the app's response_action to the modal."""
    check_on_screen(delivery, user, view)
    if view is not user.views[-1]:
        raise NotPossibleError("another modal is on top of this one")
    if not view.source.get("submit"):
        raise NotPossibleError("this modal has no submit button")
    world = delivery.world
    view.problem = None
    view.errors = _client_side_errors(view)
    if view.errors:
        world.changed()
        return Outcome(errors=view.errors, sent=False)
    payload = payloads.view_submission(world, user, view, _response_urls(world, user, view))
    answer = await delivery.send("interactive", payload)
    if answer.error:
        view.problem = trouble(answer.error)
        world.changed()
        return Outcome(answer.error, view.problem)
    try:
        _apply_response_action(world, user, view, answer.payload)
    except (SlackError, NotPossibleError) as error:
        view.problem = INVALID
        world.changed()
        more = error.more if isinstance(error, SlackError) else {}
        reason = error.error if isinstance(error, SlackError) else str(error)
        return Outcome(f"{reason} {more}".strip(), INVALID, payload=answer.payload)
    return Outcome(errors=dict(view.errors), payload=answer.payload)


def _apply_response_action(world: World, user: User, view: View, answer: Json) -> None:
    action = answer.get("response_action")
    if action is None and not answer:
        if view in user.views:
            user.views.remove(view)
    elif action == "clear":
        user.views.clear()
    elif action == "errors":
        inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
        unknown = set(answer.get("errors") or {"": ""}) - inputs
        if unknown:
            raise NotPossibleError(f"errors for blocks that are no inputs: {sorted(unknown)}")
        view.errors = dict(answer["errors"])
    elif action == "update":
        change_view(world, view, checked_view(answer.get("view"), "modal"))
    elif action == "push":
        show_view(world, user, checked_view(answer.get("view"), "modal"), on_top=True, channel=view.channel)
    else:
        raise NotPossibleError(f"unknown response_action {action!r}")
    world.changed()


def _client_side_errors(view: View) -> dict[str, str]:
    errors = {}
    for block in view.blocks:
        if block["type"] != "input":
            continue
        element = block["element"]
        state = view.values[block["block_id"]][element["action_id"]]
        if is_empty(state):
            if not block.get("optional"):
                errors[block["block_id"]] = "Please complete this required field."
        elif problem := _out_of_range(element, state):
            errors[block["block_id"]] = problem
    return errors


def _out_of_range(element: Json, state: Json) -> str:
    value = str(state.get("value") or "")
    if element["type"] == "plain_text_input":
        least, most = element.get("min_length") or 0, element.get("max_length") or 3000
        if not least <= len(value) <= most:
            return f"From {least} to {most} characters, please."
    return _number_problem(element, value) if element["type"] == "number_input" else ""


def _number_problem(element: Json, value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        return "Please enter a number."
    if not element["is_decimal_allowed"] and number != int(number):
        return "Please enter a whole number."
    if element.get("min_value") is not None and number < float(element["min_value"]):
        return f"Please enter {element['min_value']} or more."
    if element.get("max_value") is not None and number > float(element["max_value"]):
        return f"Please enter {element['max_value']} or less."
    return ""


def _response_urls(world: World, user: User, view: View) -> list[Json]:
    urls = []
    for block in view.blocks:
        element = block.get("element") or {}
        if not element.get("response_url_enabled"):
            continue
        state = view.values[block["block_id"]][element["action_id"]]
        channel = state.get("selected_conversation") or state.get("selected_channel")
        if channel:
            urls.append(
                {
                    "block_id": block["block_id"],
                    "action_id": element["action_id"],
                    "channel_id": channel,
                    "response_url": world.new_response_url(user, channel),
                }
            )
    return urls


async def close(delivery: Delivery, user: User, view: View, everything: bool = False) -> Outcome:
    """Close a modal by its close button, or the whole stack by the x in the corner."""
    check_on_screen(delivery, user, view)
    everything = everything or bool(view.source.get("clear_on_close"))
    closed = user.views[0] if everything else view
    if everything:
        user.views.clear()
    else:
        user.views.remove(view)
    delivery.world.changed()
    if not closed.source.get("notify_on_close"):
        return Outcome(sent=False)
    answer = await delivery.send("interactive", payloads.view_closed(delivery.world, user, closed, everything))
    return Outcome(answer.error)
