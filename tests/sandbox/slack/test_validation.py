"""What Slack refuses in messages and views, and the place that its error names."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from sandbox.slack import Slack
from sandbox.slack.validation import message_problems, view_problems
from tests.sandbox.slack.bolt import (
    actions,
    button,
    client_of,
    field,
    modal,
    option,
    plain,
    section,
)
from tests.sandbox.slack.story import approval_blocks, gallery_blocks, home_view, start_modal

TEXT_CELL = {"type": "raw_text", "text": "x"}
CHART: dict[str, Any] = {
    "type": "bar",
    "series": [{"name": "Gold", "data": [{"label": "Mon", "value": 1}]}],
    "axis_config": {"categories": ["Mon"]},
}
RICH = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": []}]}


@pytest.mark.parametrize(
    ("block", "place"),
    [
        (section("x" * 3001), "/blocks/0/text/text"),
        (section(""), "/blocks/0/text/text"),
        ({"type": "section"}, "/blocks/0"),
        ({"type": "section", "text": "plain string"}, "/blocks/0/text"),
        ({"type": "section", "fields": [plain("x")] * 11}, "/blocks/0/fields"),
        ({"type": "section", "fields": [plain("x" * 2001)]}, "/blocks/0/fields/0/text"),
        ({"type": "header", "text": plain("x" * 151)}, "/blocks/0/text/text"),
        ({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}, "/blocks/0/text/type"),
        ({"type": "context", "elements": [plain("x")] * 11}, "/blocks/0/elements"),
        ({"type": "context", "elements": [button("x", "a")]}, "/blocks/0/elements/0/type"),
        ({"type": "divider", "color": "red"}, "/blocks/0"),
        ({"type": "marquee"}, "/blocks/0/type"),
        (section("x", block_id="b" * 256), "/blocks/0/block_id"),
        (actions(*[button("x", f"a{n}") for n in range(26)]), "/blocks/0/elements"),
        (actions(button("x", "same"), button("y", "same")), "/blocks/0/elements/1/action_id"),
        (actions(button("x" * 76, "a")), "/blocks/0/elements/0/text/text"),
        (actions(button("x", "a", value="v" * 2001)), "/blocks/0/elements/0/value"),
        (actions(button("x", "a", style="loud")), "/blocks/0/elements/0/style"),
        (actions(button("x", "a" * 256)), "/blocks/0/elements/0/action_id"),
        (actions({"type": "plain_text_input", "action_id": "a"}), "/blocks/0/elements/0/type"),
        (actions({"type": "static_select", "action_id": "a"}), "/blocks/0/elements/0"),
        (
            actions({"type": "static_select", "action_id": "a", "options": [option("x")] * 101}),
            "/blocks/0/elements/0/options",
        ),
        (
            actions({"type": "static_select", "action_id": "a", "options": [option("x" * 76, "v")]}),
            "/blocks/0/elements/0/options/0/text/text",
        ),
        (
            actions({"type": "overflow", "action_id": "a", "options": [option("x", "v" * 151)]}),
            "/blocks/0/elements/0/options/0/value",
        ),
        (
            actions({"type": "radio_buttons", "action_id": "a", "options": [option(str(n)) for n in range(11)]}),
            "/blocks/0/elements/0/options",
        ),
        (field("name", {"type": "plain_text_input"}), "/blocks/0/type"),
        ({"type": "alert", "text": plain("x")}, "/blocks/0/type"),
        ({"type": "card", "subtitle": plain("x")}, "/blocks/0"),
        ({"type": "card", "body": plain("x" * 201)}, "/blocks/0/body/text"),
        ({"type": "table", "rows": [[{"type": "raw_text", "text": ""}]]}, "/blocks/0/rows/0/0/text"),
        ({"type": "table", "rows": [[TEXT_CELL] * 21]}, "/blocks/0/rows/0"),
        ({"type": "table", "rows": [[TEXT_CELL]] * 101}, "/blocks/0/rows"),
        ({"type": "data_table", "rows": [[TEXT_CELL], [TEXT_CELL]]}, "/blocks/0"),
        ({"type": "data_table", "caption": "x", "rows": [[RICH], [TEXT_CELL]]}, "/blocks/0/rows/0/0/type"),
        *(
            ({"type": "data_visualization", "title": "x", "chart": CHART} | changes, place)
            for changes, place in (
                ({"title": "x" * 51}, "/blocks/0/title"),
                ({"chart": CHART | {"type": "radar"}}, "/blocks/0/chart/type"),
                ({"chart": CHART | {"series": CHART["series"] * 7}}, "/blocks/0/chart/series"),
                ({"chart": CHART | {"series": CHART["series"] * 2}}, "/blocks/0/chart/series"),
                ({"chart": CHART | {"axis_config": {"categories": ["Tue"]}}}, "/blocks/0/chart/series/0/data"),
                (
                    {"chart": {"type": "pie", "segments": [{"label": "x", "value": 0}]}},
                    "/blocks/0/chart/segments/0/value",
                ),
            )
        ),
        ({"type": "task_card", "task_id": "1", "title": "x", "status": "done"}, "/blocks/0/status"),
        (
            {"type": "plan", "title": "x", "tasks": [{"task_id": "1", "title": "x", "status": "?"}]},
            "/blocks/0/tasks/0/status",
        ),
        (
            {"type": "container", "title": plain("x"), "child_blocks": [{"type": "plan", "title": "x"}]},
            "/blocks/0/child_blocks/0/type",
        ),
        ({"type": "markdown", "text": "x" * 12_001}, "/blocks/0/text"),
        ({"type": "image", "alt_text": "x"}, "/blocks/0"),
        ({"type": "rich_text", "elements": [{"type": "text", "text": "x"}]}, "/blocks/0/elements/0/type"),
    ],
)
def test_invalid_block_of_a_message(block: dict[str, Any], place: str) -> None:
    """Each violated limit of a message's block is reported with its place."""
    assert place in [each.at for each in message_problems([block])]


def test_limits_of_all_blocks_together() -> None:
    """A message has at most fifty blocks, one table, two charts and 12,000 characters of markdown, and unique
    block_ids."""
    table = {"type": "table", "rows": [[TEXT_CELL]]}
    chart = {"type": "data_visualization", "title": "x", "chart": CHART}

    assert message_problems([section("x")] * 50) == []
    assert message_problems([chart] * 2) == []
    assert [each.at for each in message_problems([chart] * 3)] == ["/blocks/2"]
    assert [each.at for each in message_problems([section("x")] * 51)] == ["/blocks"]
    assert [each.at for each in message_problems([table, table])] == ["/blocks/1"]
    same = [section("x", block_id="b")] * 2
    assert [each.at for each in message_problems(same)] == ["/blocks/1/block_id"]
    long = {"type": "markdown", "text": "x" * 6_001}
    assert [each.at for each in message_problems([long, long])] == ["/blocks"]


@pytest.mark.parametrize(
    ("view", "place"),
    [
        (modal(title=plain("x" * 25)), "/view/title/text"),
        (modal(submit=plain("x" * 25)), "/view/submit/text"),
        (modal(callback_id="x" * 256), "/view/callback_id"),
        (modal(private_metadata="x" * 3001), "/view/private_metadata"),
        (modal(*[section("x")] * 101), "/view/blocks"),
        (modal(color="red"), "/view"),
        (modal({"type": "table", "rows": [[TEXT_CELL]]}), "/view/blocks/0/type"),
        (modal({"type": "markdown", "text": "x"}), "/view/blocks/0/type"),
        (modal(field("f", {"type": "file_input", "max_files": 11})), "/view/blocks/0/element/max_files"),
        (
            modal(field("f", {"type": "plain_text_input", "placeholder": plain("x" * 151)})),
            "/view/blocks/0/element/placeholder/text",
        ),
        (
            modal(
                field("a", {"type": "plain_text_input", "focus_on_load": True}),
                field("b", {"type": "plain_text_input", "focus_on_load": True}),
            ),
            "/view/blocks/1/element/focus_on_load",
        ),
        (
            modal(field("a", {"type": "static_select", "options": [option("x")], "initial_option": option("y")})),
            "/view/blocks/0/element",
        ),
        ({"type": "home", "blocks": []}, "/view/type"),
    ],
)
def test_invalid_modal(view: dict[str, Any], place: str) -> None:
    """Each violated limit of a modal is reported with its place."""
    assert place in [each.at for each in view_problems(view, "modal")]


@pytest.mark.parametrize(
    "block",
    [{"type": "table", "rows": [[TEXT_CELL]]}, {"type": "alert", "text": plain("x")}, {"type": "plan", "title": "x"}],
)
def test_home_tab_takes_no_tables_alerts_and_plans(block: dict[str, Any]) -> None:
    """A home tab refuses blocks of other surfaces."""
    problems = view_problems({"type": "home", "blocks": [block]}, "home")

    assert [each.at for each in problems] == ["/view/blocks/0/type"]


def test_valid_samples_have_no_problems() -> None:
    """Messages, a modal and a home tab as a bot would build them are valid."""
    assert message_problems(approval_blocks()) == []
    assert message_problems(gallery_blocks()) == []
    assert view_problems(start_modal(), "modal") == []
    assert view_problems(home_view(), "home") == []


async def test_refused_message_names_the_place(slack: Slack) -> None:
    """chat.postMessage answers invalid_blocks with errors that point to the block."""
    with pytest.raises(SlackApiError) as refused:
        await client_of(slack).chat_postMessage(
            channel="C01MARKETING", text="x", blocks=[section("ok"), section("x" * 3001)]
        )
    answer = refused.value.response

    assert answer["error"] == "invalid_blocks"
    assert answer["errors"] == ["must be less than 3001 characters [json-pointer:/blocks/1/text/text]"]
    assert answer["response_metadata"]["messages"] == [f"[ERROR] {answer['errors'][0]}"]


async def test_long_blocks_together_are_refused(slack: Slack) -> None:
    """Blocks with more than 13,000 characters in all are msg_blocks_too_long."""
    with pytest.raises(SlackApiError, match="msg_blocks_too_long"):
        await client_of(slack).chat_postMessage(channel="C01MARKETING", text="x", blocks=[section("x" * 2700)] * 5)


async def test_blocks_can_be_validated_without_sending(slack: Slack) -> None:
    """blocks.validate returns pointers to the errors."""
    with pytest.raises(SlackApiError) as refused:
        await client_of(slack).api_call("blocks.validate", json={"blocks": [{"type": "section"}]})

    assert refused.value.response["errors"][0]["pointer"] == "/blocks/0"
