"""Addresses of messages in Slack."""

import asyncio
from pathlib import Path

from bot.slack.message_links import MessageLinks
from core.store.slack_messages import MessageStatus, SlackMessage
from tests.bot.slack.harness import MARKETING, TEAM, workspace

MESSAGE = SlackMessage(
    key="run:abc",
    team_id=TEAM,
    target=MARKETING,
    channel=MARKETING,
    ts="1700000000.000100",
    kind="run",
    digest="",
    status=MessageStatus.POSTED,
    attempts=0,
    retry_at=0.0,
    error=None,
)


async def test_readers_at_once_all_get_the_address(tmp_path: Path) -> None:
    """Readers that ask while Slack is being asked for the address of the workspace wait for its answer."""
    async with workspace(tmp_path) as bot:
        links = MessageLinks()
        asked = (links.to(bot.services.clients, TEAM, MESSAGE) for _ in range(3))
        addresses = await asyncio.gather(*asked)
    assert addresses == [f"{bot.slack.world.base_url}/archives/{MARKETING}/p1700000000000100"] * 3
