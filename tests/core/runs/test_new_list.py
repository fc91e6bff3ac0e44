"""A run to a list that was created a moment ago."""

from pathlib import Path

import pytest

from core.iterable import RetryPolicy
from core.models.run import OthersOnList
from core.runs.verification import Depth, verify
from tests.clock import QuickClock
from tests.core.harness import RunStatus, people, syncing


@pytest.mark.parametrize("age", [0.0, 200.0, 301.0])
async def test_run_to_a_new_list(tmp_path: Path, age: float) -> None:
    """A run waits for a list that is younger than five minutes; an older unknown list is missing."""
    clock = QuickClock()
    async with syncing(tmp_path, retry_policy=RetryPolicy(), clock=clock.monotonic) as sync:
        sync.engine.clock = clock
        new_list = sync.iterable.state.add_list("New")
        new_list.created_at -= int(age * 1000)
        new_list.ready_at = clock.monotonic() + 60.0
        outcome = await sync.mirror(people(range(3)), list_id=new_list.id)
        if age < 300:
            assert outcome.run.status is RunStatus.SUCCEEDED
            assert sync.emails(new_list.id) == {f"p{number}@example.com" for number in range(3)}
        else:
            assert (outcome.run.status, outcome.run.error_code) == (RunStatus.FAILED, "list_gone")


@pytest.mark.parametrize("age", [0.0, 301.0])
async def test_new_list_is_taken_over_and_verified(tmp_path: Path, age: float) -> None:
    """Who is on a list, and how many, is asked again while the list is younger than five minutes."""
    clock = QuickClock()
    async with syncing(tmp_path, retry_policy=RetryPolicy(), clock=clock.monotonic) as sync:
        sync.engine.clock = clock
        sync.iterable.settings.update({"limits": {"size": 0, "getUsers": 0}})
        new_list = sync.iterable.state.add_list("New")
        await sync.subscribe_by_hand("p1@example.com", new_list.id)
        new_list.created_at -= int(age * 1000)
        new_list.ready_at = clock.monotonic() + 60.0
        waiting = await sync.mirror(people(range(3)), list_id=new_list.id, adopts=OthersOnList.LEAVE)
        if age > 300:
            assert (waiting.run.status, waiting.run.error_code) == (RunStatus.FAILED, "list_gone")
            return
        assert (await sync.approve(waiting.run.id)).counts["added"] == 2
        new_list.ready_at = clock.monotonic() + 60.0
        assert not (await verify(sync.engine, waiting.run.mapping_id, Depth.LIST)).list_differs
