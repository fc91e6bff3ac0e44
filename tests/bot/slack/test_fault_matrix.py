"""Each answer of Slack to each call is seen as docs/reports/faults.md says (tests/campaigns/faults.py writes it)."""

import logging
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.bot.slack.covered import COVERED
from tests.bot.slack.fault_matrix import POINTS, Point, observe, read, stage
from tests.bot.slack.test_fault_connections import METHODS

SEEN = read((Path(__file__).parents[3] / "docs" / "reports" / "faults.md").read_text(encoding="utf-8"))
# A token, a key of the local Iterable, an address.
SECRET = re.compile(r"xox|xapp|api_key|@example\.com")


#: In how many parts the points are played with one answer each.
PARTS = 4


async def observe_all(directory: Path, caplog: pytest.LogCaptureFixture, scenes: Iterable[tuple[Point, str]]) -> None:
    """Play scenes (a point and an answer) with one bot: each looks as the page says, and the log is clean."""
    caplog.set_level(logging.INFO)
    async with stage(directory) as made:
        for point, fault in scenes:
            expected = SEEN[point.what, fault]
            assert expected
            assert await observe(made, point, fault, expected) == expected, fault
    ours = [each for each in caplog.records if each.name.partition(".")[0] in ("bot", "core", "asyncio", "aiohttp")]
    assert not [each.getMessage() for each in ours if each.exc_info or each.levelno >= logging.ERROR]
    assert not [each.getMessage() for each in caplog.records if SECRET.search(each.getMessage())]


@pytest.mark.parametrize("part", range(PARTS))
async def test_one_answer_at_each_point(tmp_path: Path, caplog: pytest.LogCaptureFixture, part: int) -> None:
    """At each point, people see what they should after one of Slack's answers; all points together get each answer."""
    chosen = [(point, point.faults[number % len(point.faults)]) for number, point in enumerate(POINTS, 1)]
    assert {fault for _, fault in chosen} == {fault for point in POINTS for fault in point.faults}
    await observe_all(tmp_path, caplog, chosen[part::PARTS])


@pytest.mark.extended
@pytest.mark.parametrize("point", POINTS, ids=[point.what for point in POINTS])
async def test_point(tmp_path: Path, caplog: pytest.LogCaptureFixture, point: Point) -> None:
    """Somebody sees what is due, once, there or elsewhere; runs succeed; the log has neither traceback nor secret."""
    await observe_all(tmp_path, caplog, [(point, fault) for fault in point.faults])


async def test_every_method_is_let_fail() -> None:
    """What the bot may call (tests/bot/slack/covered.py, which all tests with a Slack look at) is what fails here."""
    assert {point.method for point in POINTS} | set(METHODS) == COVERED


async def test_page_has_no_other_rows() -> None:
    """The page says nothing of what is not tried."""
    assert set(SEEN) == {(point.what, fault) for point in POINTS for fault in point.faults}
