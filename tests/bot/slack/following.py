"""Helpers for tests of messages that follow runs."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bot.features.ids import HomeAction
from bot.ui.more_options import MORE_OPTIONS
from core.models.run import Run, RunRequest, SyncMode
from core.runs import commands
from core.store.mappings import AudienceMapping
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Message, View
from sandbox.slack.workspace.view_state import elements_of
from tests.bot.slack.harness import MARKETING, MAYA, TEAM, Workspace, audience
from tests.core.harness import Member

SUBSCRIBE = "/api/lists/subscribe"
#: Longer than any of the tests waits on a busy machine, in seconds.
LONG = 60.0


async def start(
    bot: Workspace,
    directory: Path,
    mapping: AudienceMapping,
    members: Sequence[Member],
    *,
    by: str = MAYA,
    channel: str | None = MARKETING,
    mode: SyncMode | None = None,
) -> str:
    """Start a run of an audience with these members, as a handler does. Returns its id."""
    path = directory / "audience.csv"
    path.write_bytes(audience(members))
    request = RunRequest(path=str(path), mode=mode)
    run_id = await commands.start(bot.engine, mapping, request, by=by, channel=channel, team_id=TEAM)
    bot.services.wake()
    return run_id


async def card(bot: Workspace, directory: Path, members: Sequence[Member], **connected: Any) -> Message:
    """Start a run of a mapping that no one has approved, and return its card."""
    mapping = await bot.mapping(await bot.connection(**connected), active=False)
    await start(bot, directory, mapping, members)
    return await bot.slack.wait_for_message("marketing", "Approval needed", timeout=LONG)


async def ended(bot: Workspace, run_id: str) -> Run:
    """Wait until a run has ended, perhaps after it was resumed, and return it."""
    async with asyncio.timeout(LONG):
        while (run := await bot.run(run_id)).status.is_active or run.is_orphan:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return run


async def until(predicate: Callable[[], bool]) -> None:
    """Wait for a condition that does not depend on the local Slack."""
    async with asyncio.timeout(LONG):
        while not predicate():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def top(bot: Workspace, channel: str = "marketing") -> list[str]:
    """Return the texts of the bot's messages in a channel, without those in threads."""
    return [bot.slack.render(each) for each in bot.slack.messages(channel) if each.bot_id and not each.thread_ts]


def replies(bot: Workspace, message: Message) -> list[str]:
    """Return the texts of the messages in a thread."""
    thread = bot.slack.messages(message.channel.id, thread=message)
    return [bot.slack.render(each) for each in thread if each.ts != message.ts]


def choices_of(page: View) -> dict[str, str]:
    """Return the choices of the menus behind three dots: value by the action id of the button that it stands for."""
    menus = [element for _, element in elements_of(page.blocks) if element["type"] == "overflow"]
    values = [option["value"] for menu in menus for option in menu["options"]]
    return {value.partition(":")[0]: value for value in values}


async def open_options(person: Person, view: View) -> View:
    """Press *More options* in a form, wait until it shows all its inputs, and return it."""
    texts = {
        element["action_id"]: element["text"]["text"] for _, element in elements_of(view.blocks) if "text" in element
    }
    (action,) = [each for each, text in texts.items() if text == MORE_OPTIONS]
    await person.click(view, action)
    await person.slack.wait_for(lambda: action not in str(view.blocks), LONG, "the options")
    return view


async def choose(person: Person, page: View, action: str) -> None:
    """Choose an action in a menu behind three dots of the Home page."""
    await person.click(page, HomeAction.MORE, choices_of(page)[action])
