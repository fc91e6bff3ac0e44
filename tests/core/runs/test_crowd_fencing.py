"""A process is paused with runs that have made room for others, and another one takes over all of them."""

from pathlib import Path

import pytest

from core.runs import worker
from tests.core.databases import new_postgresql, without
from tests.core.harness import RunStatus, people, until
from tests.core.paused import TIMES, worker_process
from tests.core.runs.crowd import are_sending, holding, lists_of, problem_of, queue_all
from tests.core.workers import PATIENCE_S, finish_all


@pytest.mark.extended
async def test_paused_crowd_sends_nothing_when_it_wakes(
    postgresql_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is paused with more runs than its project's, and replaced, sends nothing when it wakes.

    Each member counts once. Meanwhile later runs take all but one off the lists.
    """
    monkeypatch.setattr(worker, "RESCUE_INTERVAL_S", 0.1)
    monkeypatch.setattr(worker, "POLL_INTERVAL_S", 0.1)
    url = new_postgresql(postgresql_server)
    async with holding(tmp_path, url, times=TIMES) as sync:
        await queue_all(sync)
        async with worker_process(sync.engine.settings, TIMES, tmp_path / "elsewhere") as other:
            await until(lambda: are_sending(sync), PATIENCE_S)
            other.pause()
            sync.iterable.faults.clear()
            await finish_all(sync.engine)
            assert await problem_of(sync) == ""
            for list_id in lists_of(sync):
                later = await sync.mirror(people([1]), list_id=list_id, approved=True)
                assert later.run.status is RunStatus.SUCCEEDED, later.run.error
                assert sync.emails(list_id) == {"p1@example.com"}
            before = sync.iterable.state.log.total("")
            other.wake()
            assert "declared it dead" in await other.end()
            assert sync.iterable.state.log.total("") == before
        assert all(sync.emails(list_id) == {"p1@example.com"} for list_id in lists_of(sync))
    without(postgresql_server, url)
