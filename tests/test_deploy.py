"""The files in `deploy/` agree with the program, and the tools that read them accept them."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings
from tests.documents import DOCUMENTS, ROOT, anchors, code, code_blocks, section, table_rows

DEPLOY = ROOT / "deploy"
ALERTS: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def _expressions() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [alert["expr"] for alert in ALERTS] + panels


def _samples() -> dict[str, set[str]]:
    """The names of all samples in the reference, with the labels of each."""
    rows = [
        row
        for heading in ("From the database", "From this process")
        for row in table_rows(section("docs/reference/metrics.md", heading))
    ]
    return {
        f"{code(name)}{suffix}": set(re.findall(r"`(\w+)`", labels)) | {"le"}
        for name, kind, labels, _ in rows
        for suffix in _SUFFIXES[kind]
    }


def test_metrics_exist() -> None:
    """Rules and dashboard use only metrics and labels of the reference, and the dashboard has every metric."""
    samples, used = _samples(), set()
    for expression in _expressions():
        names = set(re.findall(r"iterable_sync_\w+", expression))
        assert names <= set(samples), expression
        used |= names
        labels = set(re.findall(r"(\w+)(?:=|!=|=~)\"", expression)) - {"job"}
        for group in re.findall(r"(?:by|without) \(([\w, ]+)\)", expression):
            labels |= {label.strip() for label in group.split(",")}
        assert labels <= {label for name in names for label in samples[name]}, expression
    metrics = {re.sub("_(total|bucket|count|sum)$", "", name) for name in samples}
    assert metrics == {re.sub("_(total|bucket|count|sum)$", "", name) for name in used}


def test_each_alert_has_a_runbook() -> None:
    """Each alert names a section that says what to do, and each section belongs to an alert."""
    named = [alert["annotations"]["runbook"].split("#") for alert in ALERTS]
    assert {page for page, _ in named} == {"docs/howto/respond-to-alerts.md"}
    assert {anchor for _, anchor in named} == anchors("docs/howto/respond-to-alerts.md") - {"respond-to-alerts"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, which CI installs (package prometheus)")
def test_prometheus_accepts_the_rules() -> None:
    """Prometheus's own check accepts the alert rules, and they fire when they should."""
    for command in (
        ("check", "rules", DEPLOY / "alerts.yaml"),
        ("test", "rules", ROOT / "tests/alerts.test.yaml"),
    ):
        done = subprocess.run(["promtool", *map(str, command)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze, which CI installs (package systemd)"
)
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """systemd's own check finds no fault in the unit (with a program that exists)."""
    unit = (DEPLOY / "iterable-sync.service").read_text("utf-8")
    copy = tmp_path / "iterable-sync.service"
    copy.write_text(unit.replace("/opt/iterable-sync/bin/iterable-sync", sys.executable), "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    assert "iterable-sync.service" not in done.stdout + done.stderr


def setting_names() -> set[str]:
    """The variables of all settings."""
    return {
        str(field.validation_alias or f"ITERABLE_SYNC_{name.upper()}") for name, field in Settings.model_fields.items()
    }


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml", "iterable-sync.service"])
def test_settings_exist(file: str) -> None:
    """Each setting that a file in `deploy/` names exists."""
    named = set(re.findall(r"\b(?:SLACK|ITERABLE)_[A-Z_]+\b", (DEPLOY / file).read_text("utf-8")))
    assert named
    assert {name.removesuffix("_FILE") for name in named} <= setting_names()


def test_containers_and_units_have_guides() -> None:
    """Each file in `deploy/` is named in a guide."""
    guides = "".join(text for name, text in DOCUMENTS.items() if name.startswith("docs/howto/"))
    assert [path.name for path in DEPLOY.iterdir() if f"deploy/{path.name}" not in guides] == []


def test_image_gets_what_the_wheel_needs() -> None:
    """Docker sends the build each file that the wheel is made of."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    setuptools = project["tool"]["setuptools"]
    needed = {name for names in setuptools["data-files"].values() for name in names}
    needed |= {pattern.removesuffix("*") for pattern in setuptools["packages"]["find"]["include"]}
    needed |= {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml", "constraints.txt"}
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert sent == needed


def test_secrets_of_compose() -> None:
    """The guide writes exactly the secrets that compose.yaml reads."""
    guide = "\n".join(code_blocks("docs/howto/run-in-containers.md", "console"))
    secrets = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["secrets"]
    assert sorted(re.findall(r" > (\w+)$", guide, re.MULTILINE)) == sorted(secrets)
    assert {each["file"] for each in secrets.values()} == {f"secrets/{name}" for name in secrets}


def test_configuration_of_prometheus() -> None:
    """The configuration in the guide loads the rules, and has the job that they name."""
    (example,) = code_blocks("docs/howto/respond-to-alerts.md", "yaml")
    configuration = yaml.safe_load(example)
    assert [(DEPLOY / name).exists() for name in configuration["rule_files"]] == [True]
    jobs = {each["job_name"] for each in configuration["scrape_configs"]}
    named = {job for expression in _expressions() for job in re.findall(r'job="([^"]+)"', expression)}
    assert named == jobs


def test_containers_have_no_rights() -> None:
    """The image runs as a user, and the service has a read-only root file system and no capability."""
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    assert "USER 10001" in lines
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]["serve"]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
