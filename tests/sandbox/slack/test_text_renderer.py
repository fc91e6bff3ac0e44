"""Block Kit as plain text."""

from __future__ import annotations

from sandbox.slack import Slack, render_text
from tests.sandbox.slack.bolt import client_of, section
from tests.sandbox.slack.story import approval_blocks, gallery_blocks, home_view


async def test_message(slack: Slack) -> None:
    """Ids become names, escaped characters are restored, and fields and buttons are in order."""
    await client_of(slack).chat_postMessage(channel="C01MARKETING", text="x", blocks=approval_blocks())

    assert slack.render(slack.messages("marketing")[0]).splitlines() == [
        "# Sync wants approval: Spring sale, VIP",
        "@Maya Lindqvist proposes to make the list equal to the audience *VIP buyers & friends*.",
        "*Added*: 1,204",
        "*Removed*: 87 (3% of the list)",
        "*Unchanged*: 2,713",
        "*Rejected*: 12, without an email",
        ":warning: Joining a list can start journeys. About *2 minutes* at 20/s.",
        "[Review] [Decline] [Pause the mapping | Show history]",
    ]


def test_newer_blocks() -> None:
    """Plans, tables, charts, lists and containers have a textual form."""
    text = render_text(gallery_blocks())

    assert "[x] Read the audience" in text
    assert "[…] Add people\n    1,204 of 1,204 sent" in text
    assert "Malformed address      2" in text
    assert "[line chart: List sizes]\nVIP buyers: Mon 4,700, Tue 4,900" in text
    assert "- Bold and code" in text
    assert "Details\nRun 7f3a\n62 requests" in text


def test_cards_and_links() -> None:
    """A card shows title, body and buttons, and a link its label and target."""
    text = render_text([*home_view()["blocks"], section("<https://example.com|the brief>")])

    assert "*Waiting for approval*\nWin-back 90 days, proposed by @U01MAYA\n[Review]" in text
    assert "the brief (https://example.com)" in text
