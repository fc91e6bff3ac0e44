"""The Helm chart: its values, and, if Helm is there, what it renders."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.documents import ROOT, blocks, code_blocks, section
from tests.test_deploy import setting_names
from tools import release

CHART = ROOT / "deploy" / "helm"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
_VALIDATOR = jsonschema_rs.validator_for(json.loads((CHART / "values.schema.json").read_text("utf-8")))
GUIDE = "docs/howto/run-in-kubernetes.md"
_NEEDS_HELM = pytest.mark.skipif(shutil.which("helm") is None, reason="needs helm, which no package of Debian has")
_IMAGE = ("--set", "image.repository=registry.example.com/iterable-sync,image.tag=0.2.0")


def _paths(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{name}.")


def test_values() -> None:
    """The values satisfy their schema, and the templates use exactly these; the guide names the important ones."""
    _VALIDATOR.validate(VALUES)
    templates = "".join(path.read_text("utf-8") for path in (CHART / "templates").iterdir())
    used = set(re.findall(r"\.Values\.([\w.]+)", templates)) - {
        "secrets.ITERABLE_SYNC_DATABASE_URL",
        "secrets.ITERABLE_SYNC_SECRET_KEY",
    }
    known = set(_paths(VALUES))
    assert used <= known
    assert {name.partition(".")[0] for name in used} == set(VALUES)
    assert set(VALUES["secrets"]) <= setting_names()
    text = section(GUIDE, "Values")
    for name in ("image.repository", "replicas", "secretName", "secrets", "settings", "metrics.port", "resources"):
        assert f"`{name}`" in text


@pytest.mark.parametrize(
    "wrong",
    [{"replicas": 0}, {"secrets": {"token": "a"}}, {"port": 80}, {"image": {"repository": "a"}}, {"unknown": 1}],
)
def test_wrong_values(wrong: dict[str, Any]) -> None:
    """The schema refuses values that can't work."""
    assert not _VALIDATOR.is_valid(VALUES | wrong)


def test_examples_of_the_guide() -> None:
    """The values in the guide satisfy the schema."""
    examples = code_blocks(GUIDE, "yaml")
    assert examples
    for example in examples:
        _VALIDATOR.validate(VALUES | yaml.safe_load(example))


def test_commands_of_the_guide() -> None:
    """The guide makes a Secret with the keys that the chart reads, and sets values that exist."""
    commands = "\n".join(each.content for each in blocks(GUIDE) if each.language == "console")
    assert re.findall(r"--from-literal=([\w-]+)=", commands) == list(VALUES["secrets"].values())
    assert set(re.findall(r"(?:iterable-sync:|image\.tag=)([\d.]+)", commands)) == {release.version()}
    for name in re.findall(r"--set ([\w.]+)=", commands):
        group, _, value = name.partition(".")
        assert value in VALUES[group]


def _rendered(*options: str) -> dict[str, Any]:
    command = ["helm", "template", "sync", str(CHART), *_IMAGE, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}


@_NEEDS_HELM
def test_rendered_pod() -> None:
    """The pod has the restrictions of the container, the probes, and each secret as a file."""
    subprocess.run(["helm", "lint", "--strict", str(CHART), *_IMAGE], check=True, capture_output=True)
    rendered = _rendered("--set", "ingress.enabled=true,ingress.host=sync.example.com")
    assert set(rendered) == {"StatefulSet", "Service", "Ingress"}
    pod = rendered["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text("utf-8"))["services"]["serve"]
    user = (ROOT / "deploy/Dockerfile").read_text("utf-8").split("USER ")[1].split()[0]
    assert str(pod["securityContext"]["runAsUser"]) == user
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": compose["read_only"],
        "capabilities": {"drop": compose["cap_drop"]},
    }
    assert f"{pod['terminationGracePeriodSeconds']}s" == compose["stop_grace_period"]
    assert not pod["automountServiceAccountToken"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert probes == {
        "startup": {"path": "/healthz", "port": "http"},
        "liveness": {"path": "/healthz", "port": "http"},
        "readiness": {"path": "/readyz", "port": "metrics"},
    }
    names = {each["name"].removesuffix("_FILE") for each in container["env"]}
    assert set(VALUES["secrets"]) < names <= setting_names()
    paths = {each["path"] for each in rendered["Ingress"]["spec"]["rules"][0]["http"]["paths"]}
    assert paths == {"/slack", "/mparticle", "/api"}


@_NEEDS_HELM
def test_several_replicas() -> None:
    """Several replicas need PostgreSQL: without it, nothing is rendered."""
    command = ["helm", "template", "sync", str(CHART), *_IMAGE, "--set", "replicas=2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "replicas above 1 need PostgreSQL" in done.stderr
    keys = "secrets.ITERABLE_SYNC_DATABASE_URL=url,secrets.ITERABLE_SYNC_SECRET_KEY=key,persistence.enabled=false"
    stateful_set = _rendered("--set", f"replicas=2,{keys}")["StatefulSet"]
    assert stateful_set["spec"]["replicas"] == 2
    assert "volumeClaimTemplates" not in stateful_set["spec"]
