"""Modals and home tabs: their own properties, then their blocks."""

from __future__ import annotations

from typing import Any

import orjson

from sandbox.slack.errors import SlackError
from sandbox.slack.validation.blocks import check_blocks
from sandbox.slack.validation.checker import PLAIN, Checker, Problem
from sandbox.slack.workspace.models import Json

MOST_BLOCKS = 100
MOST_BYTES = 250_000
SHARED = ("private_metadata", "callback_id", "external_id")


def view_problems(view: Any, surface: str, at: str = "/view") -> list[Problem]:
    """Return what Slack would reject in a view for `modal` or `home`."""
    check = Checker(surface)
    if not isinstance(view, dict):
        check.add(at, "must provide an object")
        return check.problems
    if view.get("type") != surface:
        check.add(f"{at}/type", f"must be {surface}")
        return check.problems
    if surface == "modal":
        check.keys(
            view,
            at,
            ("title", "blocks"),
            (*SHARED, "submit", "close", "clear_on_close", "notify_on_close"),
        )
        for key in ("title", "submit", "close"):
            check.text(view.get(key), f"{at}/{key}", 24, PLAIN)
        inputs = [
            block for block in view.get("blocks") or [] if isinstance(block, dict) and block.get("type") == "input"
        ]
        if inputs and view.get("submit") is None:
            check.add(at, "missing required field: submit (there are input blocks)")
        check.flag(view.get("clear_on_close"), f"{at}/clear_on_close")
        check.flag(view.get("notify_on_close"), f"{at}/notify_on_close")
    else:
        check.keys(view, at, ("blocks",), SHARED)
    check.string(view.get("private_metadata"), f"{at}/private_metadata", 3000)
    check.string(view.get("callback_id"), f"{at}/callback_id", 255)
    check.string(view.get("external_id"), f"{at}/external_id", 255)
    check_blocks(check, view.get("blocks"), f"{at}/blocks", MOST_BLOCKS, 1 if surface == "modal" else 0)
    return check.problems


def checked_view(view: Any, surface: str) -> Json:
    """Return the view. Raises Slack's error if it is invalid."""
    problems = view_problems(view, surface)
    if problems:
        raise SlackError(
            "invalid_arguments", response_metadata={"messages": [f"[ERROR] {problem}" for problem in problems]}
        )
    if len(orjson.dumps(view)) > MOST_BYTES:
        raise SlackError("view_too_large")
    checked: Json = view
    return checked
