"""The structure of rich text: sections, lists, quotes, preformatted text, and the pieces in them."""

from __future__ import annotations

from typing import Any

from sandbox.slack.validation.checker import Checker

PARTS = {
    "text": "text",
    "link": "url",
    "user": "user_id",
    "channel": "channel_id",
    "usergroup": "usergroup_id",
    "emoji": "name",
    "broadcast": "range",
    "date": "timestamp",
    "color": "value",
}
LEAVES = ("rich_text_section", "rich_text_quote", "rich_text_preformatted")


def check_rich_text(check: Checker, block: Any, at: str) -> None:
    """Check a rich_text block."""
    if not isinstance(block, dict) or block.get("type") != "rich_text":
        check.add(at, "must be a rich_text block")
        return
    for number, element in enumerate(check.items(block.get("elements"), f"{at}/elements", 1000)):
        _check_part(check, element, f"{at}/elements/{number}")


def _check_part(check: Checker, part: Any, at: str) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "rich_text_list":
        check.one_of(part.get("style"), f"{at}/style", ("bullet", "ordered"))
        for number, element in enumerate(check.items(part.get("elements"), f"{at}/elements", 1000)):
            if not isinstance(element, dict) or element.get("type") != "rich_text_section":
                check.add(f"{at}/elements/{number}", "must be a rich_text_section")
            else:
                _check_part(check, element, f"{at}/elements/{number}")
    elif kind in LEAVES:
        for number, element in enumerate(check.items(part.get("elements"), f"{at}/elements", 1000, 0)):
            place = f"{at}/elements/{number}"
            inner = element.get("type") if isinstance(element, dict) else None
            if inner not in PARTS:
                check.add(f"{place}/type", f"unsupported type: {inner}")
            elif element.get(PARTS[inner]) in (None, ""):
                check.add(place, f"missing required field: {PARTS[inner]}")
    else:
        check.add(f"{at}/type", f"unsupported type: {kind}")
