"""The documents say what there is."""

import re
from pathlib import Path

import pytest

from bot.features.help.subcommands import SUBCOMMANDS
from core.reporting.rejection_reasons import EXPLANATIONS
from core.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _variable(name: str) -> str:
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"ITERABLE_SYNC_{name.upper()}"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_readme(name: str) -> None:
    """README names each setting that there is."""
    assert f"`{_variable(name)}`" in README


def test_no_setting_in_the_readme_is_made_up() -> None:
    """README names no setting that there is not."""
    named = set(re.findall(r"`((?:ITERABLE|SLACK)_[A-Z_]+)`", README))
    assert named <= {_variable(name) for name in Settings.model_fields}


@pytest.mark.parametrize("document", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(document: str) -> None:
    """Every file that a document links to or shows is there."""
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), target


def test_subcommands_are_in_the_page_for_marketers() -> None:
    """Each subcommand of /iterable-sync is explained to marketers."""
    page = (ROOT / "docs" / "marketers.md").read_text(encoding="utf-8")
    assert [name for name in SUBCOMMANDS if name and f"`/iterable-sync {name}" not in page] == []


def test_every_rejection_says_what_to_do() -> None:
    """Each reason has a meaning and a remedy."""
    assert all(each.meaning and each.remedy for each in EXPLANATIONS.values())
