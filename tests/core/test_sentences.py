"""The texts of core fit every place that shows them: a terminal, Slack, a log."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "core"
# A command for the terminal, or an option of one.
OF_THE_TERMINAL = re.compile(
    r"`iterable-sync|iterable-sync (runs|sync|connections|mappings|worker|serve)|(^|\s)--[a-z]"
)


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """The texts of a module other than docstrings, with their lines; a text in several parts is one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def test_core_names_no_command() -> None:
    """No text of core names a command, because Slack shows it too; the command line adds its commands by error code."""
    modules = [path for path in CORE.rglob("*.py") if "migrations" not in path.parts]
    assert len(modules) > 50
    commands = [
        f"{path.relative_to(CORE)}:{line}: {text}"
        for path in modules
        for line, text in sentences(path)
        if OF_THE_TERMINAL.search(text)
    ]
    assert not commands


@pytest.mark.parametrize("text", ["Use `iterable-sync runs list`.", "Say which with --audience.", "--yes"])
def test_commands_are_recognised(text: str) -> None:
    """The pattern of the other test matches commands and options."""
    assert OF_THE_TERMINAL.search(text)
