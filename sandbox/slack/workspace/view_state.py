"""The state of inputs in a message or a view: initial values, changes, and what an update keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sandbox.slack.workspace.models import File, Json, Values

# element type -> (key in the state, key of the initial value, whether it has several values)
STATE_KEYS: dict[str, tuple[str, str, bool]] = {
    "plain_text_input": ("value", "initial_value", False),
    "email_text_input": ("value", "initial_value", False),
    "url_text_input": ("value", "initial_value", False),
    "number_input": ("value", "initial_value", False),
    "rich_text_input": ("rich_text_value", "initial_value", False),
    "static_select": ("selected_option", "initial_option", False),
    "external_select": ("selected_option", "initial_option", False),
    "radio_buttons": ("selected_option", "initial_option", False),
    "multi_static_select": ("selected_options", "initial_options", True),
    "multi_external_select": ("selected_options", "initial_options", True),
    "checkboxes": ("selected_options", "initial_options", True),
    "users_select": ("selected_user", "initial_user", False),
    "multi_users_select": ("selected_users", "initial_users", True),
    "conversations_select": ("selected_conversation", "initial_conversation", False),
    "multi_conversations_select": ("selected_conversations", "initial_conversations", True),
    "channels_select": ("selected_channel", "initial_channel", False),
    "multi_channels_select": ("selected_channels", "initial_channels", True),
    "datepicker": ("selected_date", "initial_date", False),
    "timepicker": ("selected_time", "initial_time", False),
    "datetimepicker": ("selected_date_time", "initial_date_time", False),
    "file_input": ("files", "", True),
}
OPTION_KEYS = ("selected_option", "selected_options")
TEXT_INPUTS = ("plain_text_input", "email_text_input", "url_text_input", "number_input", "rich_text_input")


class NotPossibleError(ValueError):
    """A person can't do this on the screen: the element or the option isn't there."""


def elements_of(blocks: Sequence[Json]) -> Iterator[tuple[Json, Json]]:
    """Yield each element that has an action_id, with its block."""
    for block in blocks:
        nested = block.get("child_blocks") or (block.get("elements") if block["type"] == "carousel" else None)
        if nested:
            yield from elements_of(nested)
            continue
        candidates = [block.get("accessory"), block.get("element")]
        candidates += block.get("elements") or []
        candidates += block.get("actions") or []
        for candidate in candidates:
            if isinstance(candidate, dict) and "action_id" in candidate:
                yield block, candidate


def find_element(blocks: Sequence[Json], name: str, value: Any = None) -> tuple[Json, Json]:
    """Return the element named `action_id` or `block_id/action_id`; `value` distinguishes equal buttons and menus."""
    block_id, _, action_id = name.rpartition("/")
    matches = [
        (block, element)
        for block, element in elements_of(blocks)
        if element["action_id"] in (action_id, name) and block_id in ("", block["block_id"], name)
    ]
    if len(matches) > 1 and value is not None:
        matches = [pair for pair in matches if value in _values_of(pair[1])] or matches
    if len(matches) != 1:
        names = ", ".join(f"{b['block_id']}/{e['action_id']}" for b, e in elements_of(blocks)) or "nothing"
        raise NotPossibleError(f"{len(matches)} elements are called {name!r}; on the screen: {names}")
    return matches[0]


def _values_of(element: Json) -> list[Any]:
    return [element.get("value"), *(option["value"] for option in options_of(element))]


def options_of(element: Json) -> list[Json]:
    """Return all options of an element, including those in groups."""
    options = list(element.get("options") or [])
    for group in element.get("option_groups") or []:
        options += group["options"]
    return options


def first_value(element: Json, channel: str = "") -> Json:
    """Return the initial state of an element, for a person in this conversation."""
    key, initial, many = STATE_KEYS[element["type"]]
    value = element.get(initial) if initial else None
    if value is None and channel and element.get("default_to_current_conversation"):
        value = [channel] if many else channel
    return {"type": element["type"], key: value if value is not None else ([] if many else None)}


def first_values(blocks: Sequence[Json], before: Values | None = None, channel: str = "") -> Values:
    """Return the state of newly shown blocks; `before` is kept if block_id, action_id and type are the same."""
    values: Values = {}
    for block, element in elements_of(blocks):
        if element["type"] not in STATE_KEYS:
            continue
        block_id, action_id = block["block_id"], element["action_id"]
        kept = (before or {}).get(block_id, {}).get(action_id)
        same = kept is not None and kept["type"] == element["type"]
        values.setdefault(block_id, {})[action_id] = kept if kept and same else first_value(element, channel)
    return values


def is_empty(entry: Json) -> bool:
    """Whether a state has no value."""
    value = entry[STATE_KEYS[entry["type"]][0]]
    return value is None or value in ("", [])


def chosen(element: Json, value: Any, offered: Sequence[Json] = ()) -> Json:
    """Return the state of an element after a person entered `value`.

    Give options by value or text; `offered` are those that the app suggested.
    """
    key, _, many = STATE_KEYS[element["type"]]
    if value is None:
        return {"type": element["type"], key: [] if many else None}
    if element["type"] == "file_input":
        files = value if isinstance(value, list) else [value]
        return {
            "type": "file_input",
            "files": [file.as_json() if isinstance(file, File) else file for file in files],
        }
    if key in OPTION_KEYS:
        known = [*options_of(element), *offered]
        picked = [_option(known, item) for item in (value if isinstance(value, list) else [value])]
        return {"type": element["type"], key: picked if many else picked[0]}
    if many:
        return {
            "type": element["type"],
            key: [_name(item) for item in (value if isinstance(value, list) else [value])],
        }
    if element["type"] in TEXT_INPUTS and isinstance(value, int | float):
        value = str(value)
    return {"type": element["type"], key: _name(value)}


def _name(value: Any) -> Any:
    """Return the id of a person or channel, and anything else unchanged."""
    return value.id if hasattr(value, "id") else value


def _option(known: Sequence[Json], wanted: Any) -> Json:
    if isinstance(wanted, dict):
        return wanted
    for option in known:
        if str(wanted) in (option.get("value"), option["text"]["text"]):
            return option
    names = ", ".join(repr(option["text"]["text"]) for option in known) or "none"
    raise NotPossibleError(f"there is no option {wanted!r}; there are: {names}")
