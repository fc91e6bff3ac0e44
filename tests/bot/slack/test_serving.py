"""The bot as a process: it connects, and it stops."""

from pathlib import Path

from tests.bot.slack.harness import workspace


async def test_connects_and_stops(tmp_path: Path) -> None:
    """The bot connects to Slack, and ends when it is asked to."""
    async with workspace(tmp_path) as here:
        assert not here.engine.stopping.is_set()
    assert here.engine.stopping.is_set()
