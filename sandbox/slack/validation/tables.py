"""Rows, columns and cells of tables."""

from __future__ import annotations

from typing import Any

from sandbox.slack.validation.checker import Checker
from sandbox.slack.validation.rich_text import check_rich_text

MOST_ROWS, MOST_COLUMNS = 100, 20


def check_table(check: Checker, block: dict[str, Any], at: str) -> None:
    """Check a table block."""
    _check_rows(check, block, at, MOST_ROWS, 1)
    for number, setting in enumerate(
        check.items(block.get("column_settings"), f"{at}/column_settings", MOST_COLUMNS, 0)
    ):
        if isinstance(setting, dict):
            check.one_of(setting.get("align"), f"{at}/column_settings/{number}/align", ("left", "center", "right"))


def check_data_table(check: Checker, block: dict[str, Any], at: str) -> None:
    """Check a data_table block: a header row and at least one more."""
    _check_rows(check, block, at, MOST_ROWS + 1, 2)
    check.string(block.get("caption"), f"{at}/caption", 2000, 1)
    size = block.get("page_size")
    if size is not None and (not isinstance(size, int) or not 1 <= size <= 100):
        check.add(f"{at}/page_size", "must be an integer from 1 to 100")
    rows = block.get("rows")
    if isinstance(rows, list) and rows and isinstance(rows[0], list):
        for number, cell in enumerate(rows[0]):
            if isinstance(cell, dict) and cell.get("type") == "rich_text":
                check.add(f"{at}/rows/0/{number}/type", "header cells can't be rich_text")


def _check_rows(check: Checker, block: dict[str, Any], at: str, most: int, least: int) -> None:
    for number, row in enumerate(check.items(block.get("rows"), f"{at}/rows", most, least)):
        for column, cell in enumerate(check.items(row, f"{at}/rows/{number}", MOST_COLUMNS)):
            _check_cell(check, cell, f"{at}/rows/{number}/{column}")


def _check_cell(check: Checker, cell: Any, at: str) -> None:
    kind = cell.get("type") if isinstance(cell, dict) else None
    if kind == "raw_text":
        if cell.get("text") is None:
            check.add(at, "missing required field: text")
        check.string(cell.get("text"), f"{at}/text", 10_000, 1)
    elif kind == "raw_number":
        if not isinstance(cell.get("value"), int | float):
            check.add(f"{at}/value", "must be a number")
        if cell.get("text") is None:
            check.add(at, "missing required field: text")
        check.string(cell.get("text"), f"{at}/text", 10_000, 1)
    elif kind == "rich_text":
        check_rich_text(check, cell, at)
    else:
        check.add(f"{at}/type", f"unsupported type: {kind}")
