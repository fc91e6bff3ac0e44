"""The limits of the elements inside blocks: buttons, menus, inputs, and the objects inside those."""

from __future__ import annotations

from typing import Any

from sandbox.slack.validation.checker import ANY_TEXT, PLAIN, Checker

SECTION, ACTIONS, INPUT, CONTEXT, CARD = "section", "actions", "input", "context", "card"
EVERYWHERE = (SECTION, ACTIONS, INPUT)
COMMON = ("action_id", "placeholder", "confirm", "focus_on_load")
MULTI = ("max_selected_items",)
INITIAL = {
    "users_select": "initial_user",
    "multi_users_select": "initial_users",
    "channels_select": "initial_channel",
    "multi_channels_select": "initial_channels",
    "conversations_select": "initial_conversation",
    "multi_conversations_select": "initial_conversations",
}

# type -> (blocks that accept it, required properties, optional properties)
ELEMENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "button": (
        (SECTION, ACTIONS, CARD),
        ("text",),
        ("action_id", "url", "value", "style", "confirm", "accessibility_label"),
    ),
    "overflow": ((SECTION, ACTIONS), ("options",), ("action_id", "confirm")),
    "image": ((SECTION, CONTEXT), ("alt_text",), ("image_url", "slack_file")),
    "plain_text_input": (
        (INPUT,),
        (),
        (*COMMON, "initial_value", "multiline", "min_length", "max_length", "dispatch_action_config"),
    ),
    "number_input": (
        (INPUT,),
        ("is_decimal_allowed",),
        (*COMMON, "initial_value", "min_value", "max_value", "dispatch_action_config"),
    ),
    "email_text_input": ((INPUT,), (), (*COMMON, "initial_value", "dispatch_action_config")),
    "url_text_input": ((INPUT,), (), (*COMMON, "initial_value", "dispatch_action_config")),
    "rich_text_input": ((INPUT,), (), (*COMMON, "initial_value", "dispatch_action_config")),
    "file_input": ((INPUT,), (), ("action_id", "filetypes", "max_files")),
    "static_select": (EVERYWHERE, (), (*COMMON, "options", "option_groups", "initial_option")),
    "multi_static_select": (
        (SECTION, INPUT),
        (),
        (*COMMON, *MULTI, "options", "option_groups", "initial_options"),
    ),
    "external_select": (EVERYWHERE, (), (*COMMON, "min_query_length", "initial_option")),
    "multi_external_select": (
        (SECTION, INPUT),
        (),
        (*COMMON, *MULTI, "min_query_length", "initial_options"),
    ),
    "radio_buttons": (EVERYWHERE, ("options",), (*COMMON, "initial_option")),
    "checkboxes": (EVERYWHERE, ("options",), (*COMMON, "initial_options")),
    "datepicker": (EVERYWHERE, (), (*COMMON, "initial_date")),
    "timepicker": (EVERYWHERE, (), (*COMMON, "initial_time", "timezone")),
    "datetimepicker": ((ACTIONS, INPUT), (), (*COMMON, "initial_date_time")),
    "users_select": (EVERYWHERE, (), (*COMMON, "initial_user")),
    "multi_users_select": ((SECTION, INPUT), (), (*COMMON, *MULTI, "initial_users")),
    "channels_select": (EVERYWHERE, (), (*COMMON, "initial_channel", "response_url_enabled")),
    "multi_channels_select": ((SECTION, INPUT), (), (*COMMON, *MULTI, "initial_channels")),
    "conversations_select": (
        EVERYWHERE,
        (),
        (
            *COMMON,
            "initial_conversation",
            "default_to_current_conversation",
            "response_url_enabled",
            "filter",
        ),
    ),
    "multi_conversations_select": (
        (SECTION, INPUT),
        (),
        (*COMMON, *MULTI, "initial_conversations", "default_to_current_conversation", "filter"),
    ),
}


def check_element(check: Checker, element: Any, at: str, place: str) -> None:
    """Check an element in a block of the type `place`."""
    if not isinstance(element, dict):
        check.add(at, "must provide an object")
        return
    kind = element.get("type")
    if kind not in ELEMENTS:
        check.add(f"{at}/type", f"unsupported type: {kind}")
        return
    places, needed, known = ELEMENTS[kind]
    if place not in places:
        check.add(f"{at}/type", f"unsupported element in a {place} block: {kind}")
        return
    if kind == "file_input" and check.surface != "modal":
        check.add(f"{at}/type", "file_input is only supported in modals")
    check.keys(element, at, needed, known)
    check.string(element.get("action_id"), f"{at}/action_id", 255, 1)
    check.text(element.get("placeholder"), f"{at}/placeholder", 150, PLAIN)
    check_confirm(check, element.get("confirm"), f"{at}/confirm")
    check.focused += bool(element.get("focus_on_load"))
    if check.focused > 1 and element.get("focus_on_load"):
        check.add(f"{at}/focus_on_load", "only one element may have focus_on_load")
    _check_kind(check, element, at, (*needed, *known))


def _check_kind(check: Checker, element: dict[str, Any], at: str, known: tuple[str, ...]) -> None:
    kind = element["type"]
    if kind == "button":
        _check_button(check, element, at)
    elif kind == "image":
        check_image(check, element, at)
    elif kind in ("plain_text_input", "number_input"):
        _check_typed(check, element, at)
    elif kind == "file_input":
        _check_file_input(check, element, at)
    elif "options" in known:
        _check_options(check, element, at)
    elif kind == "external_select" and element.get("initial_option"):
        check_option(check, element["initial_option"], f"{at}/initial_option")
    elif kind == "multi_external_select":
        for number, option in enumerate(element.get("initial_options") or []):
            check_option(check, option, f"{at}/initial_options/{number}")


def check_image(check: Checker, element: dict[str, Any], at: str) -> None:
    """Check the properties that image blocks and image elements share."""
    check.string(element.get("alt_text"), f"{at}/alt_text", 2000)
    check.string(element.get("image_url"), f"{at}/image_url", 3000, 1)
    if element.get("image_url") is None and element.get("slack_file") is None:
        check.add(at, "must define either `image_url` or `slack_file`")


def check_confirm(check: Checker, confirm: Any, at: str) -> None:
    """Check that a value is absent or a confirmation dialog."""
    if confirm is None:
        return
    if not isinstance(confirm, dict):
        check.add(at, "must provide an object")
        return
    check.keys(confirm, at, (), ("title", "text", "confirm", "deny", "style"))
    for key, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        check.text(confirm.get(key), f"{at}/{key}", most, ("plain_text", "mrkdwn") if key == "text" else PLAIN)
    check.one_of(confirm.get("style"), f"{at}/style", ("primary", "danger"))


def check_option(check: Checker, option: Any, at: str, texts: tuple[str, ...] = PLAIN) -> None:
    """Check one option of a menu, a group of radio buttons or a typeahead."""
    if not isinstance(option, dict):
        check.add(at, "must provide an object")
        return
    check.keys(option, at, ("text", "value"), ("description", "url"))
    check.text(option.get("text"), f"{at}/text", 75, texts)
    check.string(option.get("value"), f"{at}/value", 150, 1)
    check.text(option.get("description"), f"{at}/description", 75, texts)


def check_suggestions(check: Checker, answer: dict[str, Any], at: str = "") -> None:
    """Check an app's answer to a block_suggestion."""
    if answer.get("options") is None and answer.get("option_groups") is None:
        check.add(at, "missing required field: options")
    _check_groups(check, answer, at, 0)


def _check_button(check: Checker, element: dict[str, Any], at: str) -> None:
    check.text(element.get("text"), f"{at}/text", 75, PLAIN)
    check.string(element.get("url"), f"{at}/url", 3000, 1)
    check.string(element.get("value"), f"{at}/value", 2000)
    check.string(element.get("accessibility_label"), f"{at}/accessibility_label", 75)
    check.one_of(element.get("style"), f"{at}/style", ("primary", "danger"))


def _check_typed(check: Checker, element: dict[str, Any], at: str) -> None:
    if element["type"] == "plain_text_input":
        check.string(element.get("initial_value"), f"{at}/initial_value", element.get("max_length") or 3000)
        for key in ("min_length", "max_length"):
            value = element.get(key)
            if value is not None and (not isinstance(value, int) or not 0 <= value <= 3000):
                check.add(f"{at}/{key}", "must be an integer from 0 to 3000")
        return
    for key in ("initial_value", "min_value", "max_value"):
        check.string(element.get(key), f"{at}/{key}", 255)


def _check_file_input(check: Checker, element: dict[str, Any], at: str) -> None:
    most = element.get("max_files")
    if most is not None and (not isinstance(most, int) or not 1 <= most <= 10):
        check.add(f"{at}/max_files", "must be an integer from 1 to 10")
    for number, extension in enumerate(check.items(element.get("filetypes"), f"{at}/filetypes", 100)):
        check.string(extension, f"{at}/filetypes/{number}", 50, 1)


def _check_options(check: Checker, element: dict[str, Any], at: str) -> None:
    kind = element["type"]
    texts: tuple[str, ...] = PLAIN
    if kind == "overflow":
        most = 5
    elif kind in ("radio_buttons", "checkboxes"):
        most, texts = 10, ANY_TEXT
    else:
        most = 100
        if (element.get("options") is None) == (element.get("option_groups") is None):
            check.add(at, "must define either `options` or `option_groups`")
    _check_groups(check, element, at, 1, most, texts)
    values = [option.get("value") for _, option in _all_options(element)]
    initial = element.get("initial_options") or ([element["initial_option"]] if element.get("initial_option") else [])
    for option in initial:
        if not isinstance(option, dict) or option.get("value") not in values:
            check.add(at, "initial option is not one of the options")


def _check_groups(
    check: Checker,
    thing: dict[str, Any],
    at: str,
    least: int,
    most: int = 100,
    texts: tuple[str, ...] = PLAIN,
) -> None:
    check.items(thing.get("options"), f"{at}/options", most, least)
    for number, group in enumerate(check.items(thing.get("option_groups"), f"{at}/option_groups", 100, least)):
        check.text(group.get("label"), f"{at}/option_groups/{number}/label", 75, PLAIN)
        check.items(group.get("options"), f"{at}/option_groups/{number}/options", 100)
    places = _all_options(thing)
    for place, option in places:
        check_option(check, option, at + place, texts)


def _all_options(thing: dict[str, Any]) -> list[tuple[str, Any]]:
    options = [(f"/options/{number}", option) for number, option in enumerate(thing.get("options") or [])]
    for number, group in enumerate(thing.get("option_groups") or []):
        options += [
            (f"/option_groups/{number}/options/{inner}", option)
            for inner, option in enumerate(group.get("options") or [])
        ]
    return options
