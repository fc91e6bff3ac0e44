"""A process dies while it delivers the changes of several audiences together: another one delivers exactly the rest."""

from pathlib import Path

import pytest

from tests.core.crashing import crash
from tests.core.live.round_of_three import after_a_crash, fill_lists, problem_of, receiving, round_job

STORED, ENDED, ANSWERED = "live.rounds._store", "live.deliveries._record_ends", "delivery.recorder._write"
#: The campaign of crash points tries every event on both databases.
SOME_EVENTS = (
    f"before the write, {STORED}",
    f"after the write, {STORED}",
    "before the request, unsubscribe",
    "after the request, unsubscribe",
    "before the request, subscribe",
    "after the request, subscribe",
    f"before the write, {ENDED}",
    f"after the write, {ENDED}",
    f"before the write, {ANSWERED}",
    f"after the write, {ANSWERED}",
    "after the write, live.micro_batch._finalize_next",
)
QUICK = ("postgresql", "before the write, live.deliveries._record_ends")


@pytest.mark.parametrize(
    ("database_url", "event"),
    [
        pytest.param(kind, event, id=f"{kind}-{event}", marks=[] if (kind, event) == QUICK else [pytest.mark.extended])
        for kind in ("sqlite", "postgresql")
        for event in SOME_EVENTS
    ],
    indirect=["database_url"],
)
async def test_round_that_is_killed(tmp_path: Path, database_url: str, event: str) -> None:
    """Lists equal what the changes say, each change counts once, and repeated additions send nothing."""
    async with receiving(tmp_path, database_url) as service:
        await fill_lists(service)
        assert await crash(await round_job(service), event)
        assert await after_a_crash(service) == ""


@pytest.mark.extended
async def test_round_that_is_not_killed(tmp_path: Path, database_url: str) -> None:
    """The process of the other tests delivers everything in one round if it is not killed."""
    report = tmp_path / "events"
    async with receiving(tmp_path, database_url) as service:
        await fill_lists(service)
        assert not await crash(await round_job(service, report=report), "never")
        assert await problem_of(service) == ""
    assert report.read_text(encoding="utf-8").split("\n").count(f"after the write, {STORED}") == 1
