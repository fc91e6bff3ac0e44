"""Messages: their blocks, and the limits over all of them together."""

from __future__ import annotations

from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.validation.blocks import check_blocks
from sandbox.slack.validation.charts import MOST_CHARTS
from sandbox.slack.validation.checker import Checker, Problem
from sandbox.slack.workspace.models import Json

MOST_BLOCKS = 50
MOST_MARKDOWN = 12_000
MOST_TABLE = 10_000
MOST_IN_BLOCKS = 13_000


def message_problems(blocks: Any) -> list[Problem]:
    """Return what Slack would reject in these blocks of a message."""
    check = Checker("message")
    check_blocks(check, blocks, "/blocks", MOST_BLOCKS)
    listed = [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    tables = [number for number, item in enumerate(listed) if item.get("type") == "table"]
    if len(tables) > 1:
        check.add(f"/blocks/{tables[1]}", "only one table is allowed in a message")
    charts = [number for number, item in enumerate(listed) if item.get("type") == "data_visualization"]
    if len(charts) > MOST_CHARTS:
        check.add(f"/blocks/{charts[MOST_CHARTS]}", f"only {MOST_CHARTS} charts are allowed in a message")
    for kind, most in (("table", MOST_TABLE), ("data_table", MOST_TABLE), ("markdown", MOST_MARKDOWN)):
        if sum(text_length(item) for item in listed if item.get("type") == kind) > most:
            check.add("/blocks", f"{kind} blocks must be less than {most + 1} characters together")
    return check.problems


def checked_message_blocks(blocks: Any) -> list[Json]:
    """Return the blocks. Raises Slack's error if they are invalid."""
    if blocks is None:
        return []
    problems = message_problems(blocks)
    if problems:
        raise SlackError(
            "invalid_blocks",
            errors=[str(problem) for problem in problems],
            response_metadata={"messages": [f"[ERROR] {problem}" for problem in problems]},
        )
    if sum(text_length(block) for block in blocks) > MOST_IN_BLOCKS:
        raise SlackError("msg_blocks_too_long")
    checked: list[Json] = blocks
    return checked


def text_length(thing: Any) -> int:
    """Return the number of characters of text in a block."""
    if isinstance(thing, list):
        return sum(text_length(item) for item in thing)
    if not isinstance(thing, dict):
        return 0
    return sum(
        len(value) if key == "text" and isinstance(value, str) else text_length(value) for key, value in thing.items()
    )
