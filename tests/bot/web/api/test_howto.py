"""The examples of the page on using the API."""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.bot.web.api.harness import api
from tests.core.harness import addresses, people
from tests.documents import DOCUMENTS


def _example(language: str) -> str:
    match = re.search(rf"```{language}\n(.*?)```", DOCUMENTS["docs/howto/use-the-api.md"], re.DOTALL)
    assert match is not None
    return match[1]


async def test_examples(tmp_path: Path) -> None:
    """The shell commands sync a file, and the function syncs an address and raises an error if the sync fails."""
    namespace: dict[str, object] = {}
    exec(_example("python"), namespace)
    sync = namespace["sync"]
    assert callable(sync)
    async with api(tmp_path) as service:
        token, mapping = await service.token(), await service.mapping()
        service.sync.mirror_file(people(range(3))).rename(tmp_path / "audience.csv")
        variables = {"SERVER": service.url, "TOKEN": token, "MAPPING": str(mapping.id)}
        shell = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-euo", "pipefail", "-c", _example("bash")],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert json.loads(shell.stdout)["status"] == "succeeded"
        assert service.sync.emails() == addresses(range(3))

        path = str(service.sync.mirror_file(people(range(4))))
        counters = await asyncio.to_thread(sync, service.url, token, mapping.id, path, "second")
        assert (counters["added"], counters["unchanged"]) == (1, 3)
        empty = tmp_path / "empty.csv"
        empty.write_text("")
        with pytest.raises(RuntimeError, match="failed"):
            await asyncio.to_thread(sync, service.url, token, mapping.id, str(empty), "third")
