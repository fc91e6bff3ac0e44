"""The limits of each block, and the surfaces that accept it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from sandbox.slack.validation.charts import check_chart
from sandbox.slack.validation.checker import ANY_TEXT, PLAIN, Checker
from sandbox.slack.validation.elements import check_element, check_image
from sandbox.slack.validation.rich_text import check_rich_text
from sandbox.slack.validation.tables import check_data_table, check_table

MESSAGE, HOME, MODAL = "message", "home", "modal"
ALL = (MESSAGE, HOME, MODAL)
CHILDREN = (
    "actions",
    "context",
    "divider",
    "file",
    "header",
    "image",
    "input",
    "rich_text",
    "section",
    "table",
)
STATUSES = ("pending", "in_progress", "complete", "error")

# type -> (surfaces, required properties, optional properties)
BLOCKS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "section": (ALL, (), ("text", "fields", "accessory", "expand")),
    "header": (ALL, ("text",), ()),
    "divider": (ALL, (), ()),
    "context": (ALL, ("elements",), ()),
    "actions": (ALL, ("elements",), ()),
    "image": (ALL, ("alt_text",), ("image_url", "slack_file", "title")),
    "rich_text": (ALL, ("elements",), ()),
    "input": (
        (HOME, MODAL),
        ("label", "element"),
        ("hint", "optional", "dispatch_action"),
    ),
    "markdown": ((MESSAGE,), ("text",), ()),
    "table": ((MESSAGE,), ("rows",), ("column_settings",)),
    "data_table": ((MESSAGE, HOME), ("rows", "caption"), ("page_size", "row_header_column_index")),
    "data_visualization": ((MESSAGE,), ("title", "chart"), ()),
    "alert": ((MODAL,), ("text",), ("level",)),
    "card": (ALL, (), ("hero_image", "icon", "title", "subtitle", "body", "actions")),
    "carousel": ((MESSAGE, HOME), ("elements",), ()),
    "container": (
        (MESSAGE,),
        ("child_blocks",),
        (
            "title",
            "rich_text_title",
            "subtitle",
            "width",
            "icon",
            "is_collapsible",
            "default_collapsed",
            "has_header_divider",
        ),
    ),
    "task_card": ((MESSAGE,), ("task_id", "title", "status"), ("details", "output", "sources")),
    "plan": ((MESSAGE,), ("title",), ("tasks",)),
}


def check_blocks(check: Checker, blocks: Any, at: str, most: int, least: int = 0) -> None:
    """Check all blocks of a message or view, and the uniqueness of their ids."""
    listed = check.items(blocks, at, most, least)
    for number, block in enumerate(listed):
        check_block(check, block, f"{at}/{number}")
    check.unique(
        (
            (f"{at}/{number}/block_id", block["block_id"])
            for number, block in enumerate(listed)
            if isinstance(block, dict) and isinstance(block.get("block_id"), str)
        ),
        "block_id",
    )


def check_block(check: Checker, block: Any, at: str) -> None:
    """Check one block."""
    if not isinstance(block, dict):
        check.add(at, "must provide an object")
        return
    kind = block.get("type")
    if kind not in BLOCKS:
        check.add(f"{at}/type", f"unsupported type: {kind}")
        return
    surfaces, needed, known = BLOCKS[kind]
    if check.surface not in surfaces:
        check.add(f"{at}/type", f"{kind} is not supported in a {check.surface}")
        return
    before = len(check.problems)
    check.keys(block, at, needed, ("block_id", *known))
    check.string(block.get("block_id"), f"{at}/block_id", 255, 1)
    _CHECKS[kind](check, block, at)
    if len(check.problems) == before:
        _ask_sdk(check, block, at)


def _ask_sdk(check: Checker, block: dict[str, Any], at: str) -> None:
    """Check the block with slack-sdk's models, too, if they know it."""
    if block["type"] in ("data_table", "data_visualization"):
        return
    try:
        parsed = Block.parse(block)
        if parsed is not None:
            parsed.validate_json()
    except (SlackObjectFormationError, TypeError, AttributeError, KeyError) as error:
        check.add(at, str(error))


def _section(check: Checker, block: dict[str, Any], at: str) -> None:
    if block.get("text") is None and block.get("fields") is None:
        check.add(at, "must define either `text` or `fields`")
    check.text(block.get("text"), f"{at}/text", 3000)
    for number, text in enumerate(check.items(block.get("fields"), f"{at}/fields", 10)):
        check.text(text, f"{at}/fields/{number}", 2000)
    check.flag(block.get("expand"), f"{at}/expand")
    if block.get("accessory") is not None:
        check_element(check, block["accessory"], f"{at}/accessory", "section")


def _header(check: Checker, block: dict[str, Any], at: str) -> None:
    check.text(block.get("text"), f"{at}/text", 150, PLAIN)


def _divider(check: Checker, block: dict[str, Any], at: str) -> None:
    """Check nothing: a divider has no properties."""


def _context(check: Checker, block: dict[str, Any], at: str) -> None:
    for number, element in enumerate(check.items(block.get("elements"), f"{at}/elements", 10)):
        place = f"{at}/elements/{number}"
        if isinstance(element, dict) and element.get("type") in ANY_TEXT:
            check.text(element, place, 2000)
        else:
            check_element(check, element, place, "context")


def _actions(check: Checker, block: dict[str, Any], at: str) -> None:
    elements = check.items(block.get("elements"), f"{at}/elements", 25)
    _elements(check, elements, f"{at}/elements", "actions")


def _elements(check: Checker, elements: list[Any], at: str, place: str) -> None:
    for number, element in enumerate(elements):
        check_element(check, element, f"{at}/{number}", place)
    check.unique(
        (
            (f"{at}/{number}/action_id", element["action_id"])
            for number, element in enumerate(elements)
            if isinstance(element, dict) and isinstance(element.get("action_id"), str)
        ),
        "action_id",
    )


def _image(check: Checker, block: dict[str, Any], at: str) -> None:
    check_image(check, block, at)
    check.text(block.get("title"), f"{at}/title", 2000, PLAIN)


def _input(check: Checker, block: dict[str, Any], at: str) -> None:
    check.text(block.get("label"), f"{at}/label", 2000, PLAIN)
    check.text(block.get("hint"), f"{at}/hint", 2000, PLAIN)
    check.flag(block.get("optional"), f"{at}/optional")
    check.flag(block.get("dispatch_action"), f"{at}/dispatch_action")
    if block.get("element") is not None:
        check_element(check, block["element"], f"{at}/element", "input")


def _markdown(check: Checker, block: dict[str, Any], at: str) -> None:
    check.string(block.get("text"), f"{at}/text", 12_000, 1)


def _alert(check: Checker, block: dict[str, Any], at: str) -> None:
    check.text(block.get("text"), f"{at}/text", 200)
    check.one_of(block.get("level"), f"{at}/level", ("default", "info", "warning", "error", "success"))


def _card(check: Checker, block: dict[str, Any], at: str) -> None:
    if not any(block.get(key) for key in ("hero_image", "title", "actions", "body")):
        check.add(at, "must define at least one of `hero_image`, `title`, `actions`, `body`")
    for key, most in (("title", 150), ("subtitle", 150), ("body", 200)):
        check.text(block.get(key), f"{at}/{key}", most)
    _elements(check, check.items(block.get("actions"), f"{at}/actions", 3), f"{at}/actions", "card")


def _carousel(check: Checker, block: dict[str, Any], at: str) -> None:
    for number, element in enumerate(check.items(block.get("elements"), f"{at}/elements", 10)):
        if isinstance(element, dict) and element.get("type") == "card":
            check_block(check, element, f"{at}/elements/{number}")
        else:
            check.add(f"{at}/elements/{number}", "must be a card")


def _container(check: Checker, block: dict[str, Any], at: str) -> None:
    if block.get("title") is None and block.get("rich_text_title") is None:
        check.add(at, "must define either `title` or `rich_text_title`")
    check.text(block.get("title"), f"{at}/title", 150, PLAIN)
    check.text(block.get("subtitle"), f"{at}/subtitle", 150)
    check.one_of(block.get("width"), f"{at}/width", ("narrow", "standard", "wide", "full"))
    for number, child in enumerate(check.items(block.get("child_blocks"), f"{at}/child_blocks", 10)):
        place = f"{at}/child_blocks/{number}"
        if isinstance(child, dict) and child.get("type") not in CHILDREN:
            check.add(f"{place}/type", f"unsupported block in a container: {child.get('type')}")
        else:
            check_block(check, child, place)


def _task_card(check: Checker, block: dict[str, Any], at: str) -> None:
    check.string(block.get("title"), f"{at}/title", 256, 1)
    check.one_of(block.get("status"), f"{at}/status", STATUSES)
    for key in ("details", "output"):
        if block.get(key) is not None:
            check_rich_text(check, block[key], f"{at}/{key}")


def _plan(check: Checker, block: dict[str, Any], at: str) -> None:
    check.string(block.get("title"), f"{at}/title", 256, 1)
    for number, task in enumerate(check.items(block.get("tasks"), f"{at}/tasks", 50, 0)):
        if not isinstance(task, dict):
            check.add(f"{at}/tasks/{number}", "must provide an object")
        else:
            check.keys(task, f"{at}/tasks/{number}", *BLOCKS["task_card"][1:])
            _task_card(check, task, f"{at}/tasks/{number}")


_CHECKS: dict[str, Callable[[Checker, dict[str, Any], str], None]] = {
    "section": _section,
    "header": _header,
    "divider": _divider,
    "context": _context,
    "actions": _actions,
    "image": _image,
    "rich_text": check_rich_text,
    "input": _input,
    "markdown": _markdown,
    "table": check_table,
    "data_table": check_data_table,
    "data_visualization": check_chart,
    "alert": _alert,
    "card": _card,
    "carousel": _carousel,
    "container": _container,
    "task_card": _task_card,
    "plan": _plan,
}
