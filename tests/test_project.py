"""CI, pre-commit and make agree with each other."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_make_alone_lists_every_target() -> None:
    """Each public target has a description for `make help`, which is the default target."""
    assert ".DEFAULT_GOAL := help" in MAKEFILE
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert re.findall(r"^([a-z-]+):.*## [A-Z]", MAKEFILE, re.MULTILINE) == phony.split()


def test_pre_commit_uses_the_pinned_versions() -> None:
    """Each tool that pre-commit installs has the version from constraints.txt."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    installed = {
        package
        for repo in config["repos"]
        for hook in repo["hooks"]
        for package in hook.get("additional_dependencies", ())
    }
    assert installed
    assert installed <= set(pinned)


def test_changelog_begins_with_the_version() -> None:
    """The newest version in the changelog is that of the package; only changes that are not released come before it."""
    sections = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    newest = sections[1] if sections[0] == "Unreleased" else sections[0]
    assert re.fullmatch(r"\d+\.\d+\.\d+( - \d{4}-\d\d-\d\d)?", newest)
    assert newest.partition(" ")[0] == project["version"]


def test_ci_calls_make_on_each_supported_python() -> None:
    """The workflow runs existing make targets on all Python versions from the oldest supported one."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    jobs = workflow["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = {command.split()[-1] for command in commands if command.startswith("make")}
    assert targets == {"check", "test", "test-all", "coverage"}
    for job in ("check", "test"):
        versions = jobs[job]["strategy"]["matrix"]["python"]
        assert versions == ["3.11", "3.12", "3.13", "3.14"]
        assert project["requires-python"] == f">={versions[0]}"


# The last version of a package with a known advisory, and the advisory.
_VULNERABLE = (
    ("aiohttp", "3.13.2", "CVE-2025-69223: a small compressed request takes all memory"),
    ("cryptography", "46.0.4", "CVE-2026-26007: points of a curve are not checked"),
    ("duckdb", "1.4.1", "CVE-2025-64429: weak encryption of database files"),
    ("orjson", "3.11.4", "CVE-2025-67221: nested data overflows the stack"),
    ("pyarrow", "23.0.0", "CVE-2026-25087: use after free in the reader of IPC files"),
)


@pytest.mark.parametrize(("package", "version", "advisory"), _VULNERABLE)
def test_floor_excludes_versions_with_advisories(package: str, version: str, advisory: str) -> None:
    """The requirements exclude each version with a known advisory."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirement = next(each for each in map(Requirement, project["dependencies"]) if each.name == package)
    assert version not in requirement.specifier, advisory
