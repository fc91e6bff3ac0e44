"""The threat model keeps its promises: each has a test, and handlers stay within their workspace."""

import ast
import re
from pathlib import Path

from tests.documents import ROOT, section, table_rows

PAGE = "docs/explanation/security.md"
_EXTENDED = re.compile(r"^@pytest\.mark\.extended$", re.MULTILINE)
_ALL_EXTENDED = re.compile(r"^pytestmark = .*pytest\.mark\.extended", re.MULTILINE)
_TEST = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
# Lookups that are not limited to a workspace.
_UNLIMITED = {"by_id", "by_ids", "by_name", "of_team", "everyone", "of_account"}
_STORES = {"alerts", "connections", "mappings", "runs"}


def test_promises_are_tested() -> None:
    """Each promise names tests that exist, and one of them is not extended."""
    quick, extended = _tests()
    rows = [(row[0], set(re.findall(r"`([^`]+)`", row[1]))) for row in table_rows(section(PAGE, "Promises"))]
    assert {promise: missing for promise, tests in rows if (missing := tests - quick - extended)} == {}
    assert [promise for promise, tests in rows if tests and not tests & quick] == []


def _tests() -> tuple[set[str], set[str]]:
    """Return the names of all tests that `make test` runs, and of the extended ones."""
    quick, extended = set[str](), set[str]()
    for path in (ROOT / "tests").rglob("test_*.py"):
        source = path.read_text(encoding="utf-8")
        for part in source.split("\n\n\n"):  # the formatter's space between functions
            is_extended = _EXTENDED.search(part) or _ALL_EXTENDED.search(source)
            (extended if is_extended else quick).update(_TEST.findall(part))
    return quick, extended


def test_handlers_look_up_within_a_workspace() -> None:
    """A feature looks up rows within a workspace (core/store/tenancy.py), never by id alone.

    Providers of messages answer no request: their content and destination come from the database.
    """
    features = (path for path in (ROOT / "bot" / "features").rglob("*.py") if path.name != "messages.py")
    assert {str(path): lookups for path in features if (lookups := _unlimited_lookups(path))} == {}


def _unlimited_lookups(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        f"{node.value.id}.{node.attr} in line {node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id in _STORES and node.attr in _UNLIMITED
    ]
