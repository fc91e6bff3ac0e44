"""Each message and view: its golden file, Slack's limits, slack-sdk's models, and accessible names."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from slack_sdk.models.blocks import Block
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.environment import MANIFEST as MANIFEST_FILE
from bot.features.help.subcommands import SUBCOMMANDS
from bot.features.mapping_lookup import MappingRef
from bot.features.runs.file_links import Attached
from bot.features.runs.start import of_file
from bot.ui.blocks import Message, section
from bot.ui.charts import CHART_BLOCK
from sandbox import slack as slack_sandbox
from sandbox.slack import running as slack_running
from sandbox.slack.text_renderer import render_text
from sandbox.slack.validation import message_problems, view_problems
from tests.bot.screens.examples import screens
from tests.bot.screens.validate import problems
from tests.bot.screens.values import MAPPING, SHOP, Screen

GOLDEN = Path(__file__).parent / "golden"
SCREENS = screens()
# The most lines of an approval card, without its buttons.
CARD_LINES = 10


def blocks_of(screen: Screen) -> list[dict[str, Any]]:
    """Return the blocks of a message or view."""
    return list(screen.payload()["blocks"] if isinstance(screen, Message) else screen["blocks"])


def text_of(examples: Mapping[str, Screen]) -> str:
    """Return the golden file of a feature: each example as Slack shows it."""
    parts = []
    for name, screen in examples.items():
        head = f"notification: {screen.text}" if isinstance(screen, Message) else _frame(screen)
        parts.append(f"=== {name} ===\n{head}\n\n{render_text(blocks_of(screen))}\n")
    return "\n".join(parts)


def _frame(view: Mapping[str, Any]) -> str:
    if view["type"] == "home":
        return "home page"
    buttons = [view[each]["text"] for each in ("submit", "close") if view.get(each)]
    return f"modal: {view['title']['text']} [{'] ['.join(buttons)}]"


def elements_of(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the interactive elements of blocks."""
    for block in blocks:
        yield from block.get("elements") or () if block["type"] == "actions" else ()
        yield from (block[each] for each in ("accessory", "element") if block.get(each))


@pytest.mark.parametrize("feature", SCREENS)
def test_golden(feature: str) -> None:
    """Messages and views are those of the golden file; `python -m tests.bot.screens` writes it again."""
    assert text_of(SCREENS[feature]) == (GOLDEN / f"{feature}.txt").read_text("utf-8")


@pytest.mark.parametrize("feature", SCREENS)
def test_slack_accepts_them(feature: str) -> None:
    """Each message and view keeps Slack's limits, and slack-sdk's models read it without a loss."""
    for name, screen in SCREENS[feature].items():
        blocks = blocks_of(screen)
        if isinstance(screen, Message):
            problems = message_problems(blocks)
        else:
            problems = view_problems(dict(screen), screen["type"])
        assert problems == [], name
        modelled = [block for block in blocks if block["type"] != CHART_BLOCK]  # slack-sdk has no model of a chart
        parsed = Block.parse_all(modelled)
        assert [type(each) is Block for each in parsed] == [False] * len(modelled), name
        assert [each.to_dict() for each in parsed] == modelled, name


@pytest.mark.parametrize("feature", SCREENS)
def test_accessible_names_contain_the_visible_words(feature: str) -> None:
    """The name that a screen reader reads contains the words of the button (WCAG 2.5.3)."""
    for name, screen in SCREENS[feature].items():
        for element in elements_of(blocks_of(screen)):
            label = element.get("accessibility_label")
            assert label is None or element["text"]["text"].casefold() in label.casefold(), name


def test_cards_are_short() -> None:
    """An approval card has ten lines at most, however much is unusual."""
    for name, screen in SCREENS["approval"].items():
        if name.startswith("card"):
            lines = [line for line in render_text(blocks_of(screen)).splitlines() if line.strip()]
            assert len(lines) - 1 <= CARD_LINES, name


async def test_validation_by_slack() -> None:
    """The script for maintainers asks `blocks.validate` about each example, and shows the place of a problem."""
    async with slack_running() as slack:
        client = AsyncWebClient(slack.bot_token, base_url=slack.api_url)
        for examples in SCREENS.values():
            assert await problems(client, examples) == []
        (line, *_) = await problems(client, {"too long": Message("", [section("")])})
        assert line.startswith("too long/")


def test_usage_hint_names_all_subcommands() -> None:
    """The hint that Slack shows behind the slash command has all subcommands."""
    (command,) = yaml.safe_load(MANIFEST_FILE.read_text("utf-8"))["features"]["slash_commands"]
    assert command["usage_hint"] == f"[{'|'.join(name for name in SUBCOMMANDS if name)}]"


def test_mapping_of_a_file() -> None:
    """The shortcut on a message chooses the mapping whose audience the file's name contains."""
    refs = [MappingRef(SHOP, replace(MAPPING, audience_name=name), "List") for name in ("SpringShoppers", "Lapsed")]
    names = (
        "8754_SpringShoppers_0900.zip",
        "spring-shoppers.csv",
        "lapsed.csv",
        "other.csv",
        "lapsed spring shoppers.csv",
    )
    chosen = [of_file(refs, [Attached(id="F1", name=name)]) for name in names]
    assert [ref and ref.audience for ref in chosen] == ["SpringShoppers", "SpringShoppers", "Lapsed", None, None]


def test_page_draws_emoji() -> None:
    """The page of the local Slack draws each emoji of the messages and views."""
    source = (Path(slack_sandbox.__file__).parent / "static" / "js" / "mrkdwn.js").read_text("utf-8")
    drawn = set(re.findall(r"(\w+): \"", source.partition("const EMOJI = {")[2].partition("};")[0]))
    shown = {name for path in GOLDEN.iterdir() for name in re.findall(r":([a-z]\w+):", path.read_text("utf-8"))}
    assert shown <= drawn
