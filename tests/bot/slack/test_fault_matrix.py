"""Each answer of Slack to each call has the result that docs/reports/faults.md gives (tests/campaigns/faults.py writes
it)."""

import logging
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.bot.slack.covered import COVERED
from tests.bot.slack.fault_matrix import POINTS, Point, observe, read, stage
from tests.bot.slack.test_fault_connections import METHODS
from tests.core.databases import sampled

SEEN = read((Path(__file__).parents[3] / "docs" / "reports" / "faults.md").read_text(encoding="utf-8"))
# A token, a key of the local Iterable, an address.
SECRET = re.compile(r"xox|xapp|api_key|@example\.com")


#: The number of parts into which the points are divided, each point with one answer.
PARTS = 4


async def observe_all(directory: Path, caplog: pytest.LogCaptureFixture, scenes: Iterable[tuple[Point, str]]) -> None:
    """Play scenes (a point and an answer) with one bot. Each result must be that of the page, and the log clean."""
    caplog.set_level(logging.INFO)
    async with stage(directory) as scenes_of_bot:
        for point, fault in scenes:
            expected = SEEN[point.name, fault]
            assert expected
            assert await observe(scenes_of_bot, point, fault, expected) == expected, fault
    own_records = [
        each for each in caplog.records if each.name.partition(".")[0] in ("bot", "core", "asyncio", "aiohttp")
    ]
    assert not [each.getMessage() for each in own_records if each.exc_info or each.levelno >= logging.ERROR]
    assert not [each.getMessage() for each in caplog.records if SECRET.search(each.getMessage())]


@pytest.mark.parametrize("part", sampled(range(PARTS), 4))
async def test_one_answer_at_each_point(tmp_path: Path, caplog: pytest.LogCaptureFixture, part: int) -> None:
    """At each point, one of Slack's answers has the expected result; together the points cover all answers."""
    chosen = [(point, point.faults[number % len(point.faults)]) for number, point in enumerate(POINTS, 1)]
    assert {fault for _, fault in chosen} == {fault for point in POINTS for fault in point.faults}
    await observe_all(tmp_path, caplog, chosen[part::PARTS])


@pytest.mark.extended
@pytest.mark.parametrize("point", POINTS, ids=[point.name for point in POINTS])
async def test_point(tmp_path: Path, caplog: pytest.LogCaptureFixture, point: Point) -> None:
    """At each point, each answer has the expected result, runs succeed, and the log has neither tracebacks nor
    secrets."""
    await observe_all(tmp_path, caplog, [(point, fault) for fault in point.faults])


async def test_every_called_method_fails_in_a_test() -> None:
    """The fault tests let each method fail that the bot calls in any test."""
    assert {point.method for point in POINTS} | set(METHODS) == COVERED


async def test_page_has_no_other_rows() -> None:
    """The page has no rows for scenes that are not tested."""
    assert set(SEEN) == {(point.name, fault) for point in POINTS for fault in point.faults}
