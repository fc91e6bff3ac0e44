"""A run to a list that was created a moment ago."""

from pathlib import Path

import pytest

from core.iterable import RetryPolicy
from tests.clock import QuickClock
from tests.core.harness import RunStatus, people, syncing


@pytest.mark.parametrize("age", [0.0, 200.0, 301.0])
async def test_run_to_a_new_list(tmp_path: Path, age: float) -> None:
    """A run waits for a list that is younger than five minutes; an older unknown list is missing."""
    clock = QuickClock()
    async with syncing(tmp_path, retry_policy=RetryPolicy(), clock=clock.monotonic) as sync:
        sync.engine.clock = clock
        new_list = sync.iterable.state.add_list("New")
        await clock.sleep(age)
        new_list.ready_at = clock.monotonic() + 60.0
        outcome = await sync.mirror(people(range(3)), list_id=new_list.id)
        if age < 300:
            assert outcome.run.status is RunStatus.SUCCEEDED
            assert sync.emails(new_list.id) == {f"p{number}@example.com" for number in range(3)}
        else:
            assert (outcome.run.status, outcome.run.error_code) == (RunStatus.FAILED, "list_gone")
