"""The threat model keeps its promises: each has a test, and handlers stay within their workspace."""

import ast
import re
from pathlib import Path

import pytest

from tests.documents import ROOT, section, table_rows

PAGE = "docs/explanation/security.md"
_PROMISES = [
    (row[0], test) for row in table_rows(section(PAGE, "Promises")) for test in re.findall(r"`([^`]+)`", row[1])
]
# Lookups that are not limited to a workspace.
_UNLIMITED = {"by_id", "by_ids", "by_name", "of_team", "everyone", "of_account"}
_STORES = {"alerts", "connections", "mappings", "runs"}


@pytest.mark.parametrize(("promise", "test"), _PROMISES)
def test_promises_are_tested(promise: str, test: str) -> None:
    """Each promise names a test that exists."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    assert any(re.search(rf"^(async )?def {test}\(", source, re.MULTILINE) for source in sources), promise


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
