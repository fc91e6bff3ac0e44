"""A run that is killed during its approval, or while it is planned again, does only what was approved."""

from pathlib import Path

import pytest

from tests.campaigns.crash_points import MPID, Crash, Prepared, problem_after
from tests.core.harness import keep
from tests.core.test_crash import FIRST


@pytest.mark.parametrize(
    ("scenario", "event"),
    [
        ("approved", 20),
        *(
            pytest.param(scenario, event, marks=pytest.mark.extended)
            for scenario, event in (("approved", 8), ("approved", 35), ("overtaken", 8), ("overtaken", 18))
        ),
    ],
)
async def test_approval_and_a_crash(tmp_path: Path, scenario: str, event: int) -> None:
    """A process that dies loses no approval and adds none; the campaign of crash points tries every event."""
    prepared = Prepared("SQLite", await keep(FIRST, user_id=MPID))
    crash = Crash(prepared, scenario, event, commits=False)
    assert await problem_after(tmp_path, None, crash, tmp_path / "event") == ""
