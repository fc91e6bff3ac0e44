"""A process dies with runs that have made room for others of their project: another process ends all of them right."""

from pathlib import Path

import pytest

from core.store.run_turns import RUNS_OF_PROJECT
from tests.core.crashing import crash
from tests.core.runs.crowd import after_a_crash, crowd_job, crowded, problem_of

#: The first run for which another has made room.
NEXT = RUNS_OF_PROJECT + 1
#: Events: a name, and which one of that name (the first is 1). The campaign of crash points tries more.
SOME_EVENTS = {
    "sqlite": (
        ("after the write, store.run_queue.claim", 2),
        ("after the write, delivery.uploader._claim", NEXT),
        ("after the request, subscribe", 1),
    ),
    "postgresql": (
        ("before the write, delivery.uploader._make_room", 1),
        ("after the write, delivery.uploader._make_room", 1),
        ("after the write, delivery.uploader._make_room", 2),
        ("before the write, runs.list_lock._acquire", NEXT),
        ("before the request, subscribe", NEXT),
        ("after the write, delivery.recorder._write", NEXT),
    ),
}


@pytest.mark.extended
@pytest.mark.parametrize(
    ("database_url", "event", "nth"),
    [
        pytest.param(kind, event, nth, id=f"{kind}-{event}-{nth}")
        for kind, events in SOME_EVENTS.items()
        for event, nth in events
    ],
    indirect=["database_url"],
)
async def test_crowd_that_is_killed(tmp_path: Path, database_url: str, event: str, nth: int) -> None:
    """Lists equal the files, each member counts once, no job is left, and repeated syncs send nothing."""
    async with crowded(tmp_path, database_url) as sync:
        assert await crash(await crowd_job(sync), event, nth)
        assert await after_a_crash(sync) == ""


@pytest.mark.extended
async def test_crowd_that_is_not_killed(tmp_path: Path, database_url: str) -> None:
    """The process of the other tests has more runs at once than the project's, and ends them all if not killed."""
    report = tmp_path / "events"
    async with crowded(tmp_path, database_url) as sync:
        assert not await crash(await crowd_job(sync, report=report), "never")
        assert await problem_of(sync) == ""
    events = report.read_text(encoding="utf-8").split("\n")
    before_answers = events[: events.index("after the request, subscribe")]
    assert before_answers.count("after the write, runs.list_lock._acquire") >= NEXT
