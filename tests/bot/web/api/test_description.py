"""The OpenAPI description and its page."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bot.web.api import docs, openapi, router
from tests.bot.web.api.harness import api
from tests.core.harness import people


@pytest.mark.extended
def test_description_is_valid() -> None:
    """The description is valid OpenAPI 3.1."""
    from openapi_spec_validator import validate  # its parser takes two seconds

    validate(openapi.describe(router.OPERATIONS))


def test_operations_are_described() -> None:
    """The description names each operation once, and says what each is for."""
    description = openapi.describe(router.OPERATIONS)
    described = [operation for path in description["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in described]
    assert len(ids) == len(set(ids)) == len(router.OPERATIONS)
    assert all(operation["summary"] and operation["description"] for operation in described)


def test_page_shows_everything() -> None:
    """The page shows each operation and each schema, links only to what is on it, and loads nothing."""
    description = openapi.describe(router.OPERATIONS)
    page = docs.render(description)
    ids = set(re.findall(r"<details id=([\w-]+)>", page))
    assert {operation.id for operation in router.OPERATIONS} <= ids
    assert {f"schema-{name}" for name in description["components"]["schemas"]} <= ids
    assert set(re.findall(r"href='#([\w-]+)'", page)) <= ids
    assert "<script" not in page
    assert "src=" not in page


async def test_description_without_a_token(tmp_path: Path) -> None:
    """Anyone may read the description: it contains nothing of this service."""
    async with api(tmp_path) as service:
        assert (await service.call(None, "GET", "/openapi.json")).content["openapi"] == "3.1.0"
        assert "Start a sync" in (await service.call(None, "GET", "/docs")).content


@pytest.mark.extended
async def test_fuzzed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that schemathesis makes from the description get answers that the description permits, and no 500."""
    import asyncio

    monkeypatch.setattr(router, "REQUESTS_A_MINUTE", 100_000)
    async with api(tmp_path) as service:
        token, mapping = await service.token(), await service.mapping()
        await service.upload(token, people(range(3)), mapping_id=mapping.id)
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/api/v1/openapi.json"]
        command += ["-H", f"Authorization: Bearer {token}", "--max-examples", "25", "--seed", "1", "--no-color"]
        # A cursor and an address are texts, but not every text is one.
        command += ["--exclude-checks", "positive_data_acceptance", "--phases", "coverage,fuzzing"]
        run = await asyncio.to_thread(
            subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False
        )
    assert run.returncode == 0, run.stdout[-6000:]
