"""The primary server dies during a run and its standby is promoted: the run continues there by itself."""

from pathlib import Path

import pytest

from core.planning import batching
from core.runs import worker
from tests.core.harness import RunStatus, people, syncing
from tests.core.standby import primary_and_standby
from tests.core.storage import at_requests, once

pytestmark = pytest.mark.extended


@pytest.mark.parametrize("nth", [1, 4, 9])
async def test_fail_over_to_a_promoted_standby(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """A run accounts for every member and makes the list equal, whenever the primary dies."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 10)
    with primary_and_standby() as pair:
        async with syncing(tmp_path, pair.url) as sync:
            run_id = await sync.submit(sync.mirror_file(people(range(100))))
            at_requests(monkeypatch, once(pair.fail_over), every=nth)
            assert await worker.start(sync.engine, run_id) is RunStatus.SUCCEEDED
            assert sync.emails() == {f"p{n}@example.com" for n in range(100)}
            assert (await sync.outcome(run_id)).counts == {"members": 100, "added": 100}
