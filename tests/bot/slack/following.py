"""What tests of messages that follow runs have in common."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.models.run import Run, RunRequest, SyncMode
from core.runs import commands
from core.store.mappings import AudienceMapping
from sandbox.slack.workspace.models import Message
from tests.bot.slack.harness import MARKETING, MAYA, TEAM, Workspace, audience
from tests.core.harness import Member

SUBSCRIBE = "/api/lists/subscribe"
#: Longer than any of these takes on a machine that has other things to do.
LONG = 20.0


async def start(
    here: Workspace,
    directory: Path,
    mapping: AudienceMapping,
    members: Sequence[Member],
    *,
    by: str = MAYA,
    channel: str | None = MARKETING,
    mode: SyncMode | None = None,
) -> str:
    """Start a run, of an audience with these members, as a handler does."""
    path = directory / "audience.csv"
    path.write_bytes(audience(members))
    request = RunRequest(path=str(path), mode=mode)
    run_id = await commands.start(here.engine, mapping, request, by=by, channel=channel, team_id=TEAM)
    here.services.wake()
    return run_id


async def card(here: Workspace, directory: Path, members: Sequence[Member], **connected: Any) -> Message:
    """The card of a run whose mapping nobody has approved yet."""
    mapping = await here.mapping(await here.connection(**connected), active=False)
    await start(here, directory, mapping, members)
    return await here.slack.wait_for_message("marketing", "To approve", timeout=LONG)


async def ended(here: Workspace, run_id: str) -> Run:
    """A run, once it has ended, perhaps after it was taken up again."""
    async with asyncio.timeout(LONG):
        while (found := await here.run(run_id)).status.is_active or found.is_orphan:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found


async def until(predicate: Callable[[], bool]) -> None:
    """Wait for what changes nothing in the local Slack."""
    async with asyncio.timeout(LONG):
        while not predicate():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def top(here: Workspace, channel: str = "marketing") -> list[str]:
    """The bot's messages in a channel, without those in threads, as text."""
    return [here.slack.render(each) for each in here.slack.messages(channel) if each.bot_id and not each.thread_ts]


def replies(here: Workspace, message: Message) -> list[str]:
    """What stands in the thread of a message, as text."""
    found = here.slack.messages(message.channel.id, thread=message)
    return [here.slack.render(each) for each in found if each.ts != message.ts]
