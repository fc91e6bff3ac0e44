"""Each answer of Slack to each call is seen as docs/faults.md says (tests/campaigns/faults.py writes it)."""

import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.bot.slack.covered import COVERED
from tests.bot.slack.fault_matrix import POINTS, Point, Stage, observe, read, stage
from tests.bot.slack.test_fault_connections import METHODS

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEEN = read((Path(__file__).parents[3] / "docs" / "faults.md").read_text(encoding="utf-8"))
SCENES = [(point, fault) for point in POINTS for fault in point.faults]
# A token, a key of the local Iterable, an address.
SECRET = re.compile(r"xox|xapp|api_key|@example\.com")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on_stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One bot for all scenes."""
    async with stage(tmp_path_factory.mktemp("stage")) as made:
        yield made


@pytest.mark.parametrize(("point", "fault"), SCENES, ids=[f"{point.what}: {fault}" for point, fault in SCENES])
async def test_scene(on_stage: Stage, caplog: pytest.LogCaptureFixture, point: Point, fault: str) -> None:
    """Somebody sees what is due, once, there or elsewhere; runs succeed; the log has neither traceback nor secret."""
    caplog.set_level(logging.INFO)
    expected = SEEN[point.what, fault]

    assert expected
    assert await observe(on_stage, point, fault, expected) == expected
    ours = [each for each in caplog.records if each.name.partition(".")[0] in ("bot", "core", "asyncio", "aiohttp")]
    assert not [each.getMessage() for each in ours if each.exc_info or each.levelno >= logging.ERROR]
    assert not [each.getMessage() for each in caplog.records if SECRET.search(each.getMessage())]


async def test_every_method_is_let_fail() -> None:
    """What the bot may call (tests/bot/slack/covered.py, which all tests with a Slack look at) is what fails here."""
    assert {point.method for point in POINTS} | set(METHODS) == COVERED


async def test_page_has_no_other_rows() -> None:
    """The page says nothing of what is not tried."""
    assert set(SEEN) == {(point.what, fault) for point, fault in SCENES}
