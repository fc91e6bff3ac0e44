"""The examples of the page on using the API."""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.bot.web.api.harness import api
from tests.core.harness import addresses, people
from tests.documents import DOCUMENTS


def _examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENTS["docs/howto/use-the-api.md"], re.DOTALL)


async def _shell(script: str, directory: Path, **variables: str) -> str:
    """Run a script in a directory and return what it prints. Raises CalledProcessError if it fails."""
    shell = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=directory,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return shell.stdout


async def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell commands sync a file; the Python file, and the workflow with it, sync an address.

    A sync that fails raises an error. The DAG and the op, which were tried by hand, can be compiled.
    """
    (commands,), (client, *flows), (workflow,) = map(_examples, ("bash", "python", "yaml"))
    for flow in flows:
        compile(flow, "flow.py", "exec")
    namespace: dict[str, object] = {"__name__": "iterable_sync"}
    exec(client, namespace)
    sync = namespace["sync"]
    assert callable(sync)
    (tmp_path / "iterable_sync.py").write_text(client)
    async with api(tmp_path) as service:
        token, mapping = await service.token(), await service.mapping()
        service.sync.mirror_file(people(range(3))).rename(tmp_path / "audience.csv")
        printed = await _shell(commands, tmp_path, SERVER=service.url, TOKEN=token, MAPPING=str(mapping.id))
        assert json.loads(printed)["status"] == "succeeded"
        assert service.sync.emails() == addresses(range(3))

        (step,) = [each for each in yaml.safe_load(workflow)["jobs"]["sync"]["steps"] if "run" in each]
        variables = {"SYNC_SERVER": service.url, "SYNC_TOKEN": token}
        assert variables.keys() == step["env"].keys()
        script = step["run"].replace("s3://exports/vips.csv", str(service.sync.mirror_file(people(range(4)))))
        counters = json.loads(await _shell(script, tmp_path, **variables, GITHUB_RUN_ID="7"))
        assert (counters["added"], counters["unchanged"]) == (1, 3)

        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        empty = tmp_path / "empty.csv"
        empty.write_text("")
        with pytest.raises(RuntimeError, match="failed"):
            await asyncio.to_thread(sync, mapping.id, str(empty), "third")
