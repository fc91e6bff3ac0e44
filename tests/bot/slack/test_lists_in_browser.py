"""What a person sees in a real browser when a list is not only ours: campaigns, a freeze, drift, a repair, a take-over.

With ITERABLE_SYNC_SCREENSHOTS=docs/images it keeps the screenshots of the documentation.
"""

import os
import re
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.features.ids import ApprovalAction, ApprovalCallback, DriftAction
from core.models.run import OthersOnList, RunRequest
from core.runs import commands
from core.runs.verification import verify
from core.store.connections import Connection
from core.store.mappings import AudienceMapping
from core.store.tables import runs
from sandbox.iterable import running as iterable_running
from sandbox.iterable.hosted_extension import HostedProfile, fill_list
from sandbox.slack import running as slack_running
from tests import chromium

chromium.needed()

from playwright.async_api import expect  # noqa: E402 - only if it is installed

from tests.bot.slack.following import ended, start  # noqa: E402
from tests.bot.slack.harness import (  # noqa: E402
    ACK_TIMEOUT,
    BRISK,
    LIST,
    MANIFEST,
    MARKETING,
    MAYA,
    TEAM,
    Workspace,
    audience,
    running_bot,
)
from tests.bot.slack.screen import LONG_MS, Screen  # noqa: E402
from tests.core.harness import addresses, people  # noqa: E402

PICTURES = os.environ.get("ITERABLE_SYNC_SCREENSHOTS")
HOUR_MS = 3_600_000
OTHER_LIST = 1002


@pytest.mark.extended
async def test_lists(tmp_path: Path) -> None:
    """Each card and alert names the numbers, fits on a phone, and leads to the next step."""
    async with AsyncExitStack() as stack:
        iterable = await stack.enter_async_context(iterable_running())
        slack = await stack.enter_async_context(
            slack_running(manifest=MANIFEST, iterable_url=iterable.url, ack_timeout=ACK_TIMEOUT)
        )
        bot = await stack.enter_async_context(running_bot(slack, iterable, tmp_path, pace=replace(BRISK, gap=0.2)))
        iterable.settings.update({"limits": {"size": 0, "getUsers": 0}})
        browser = await stack.enter_async_context(chromium.browsing())
        page = await browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(LONG_MS)
        expect.set_options(timeout=LONG_MS)
        screen = Screen(page, slack, Path(PICTURES) if PICTURES else None)
        await screen.open()
        connection = await bot.connection()
        mapping = await bot.mapping(connection, active=False)
        await see_campaigns(bot, screen, mapping, tmp_path)
        await see_drift(bot, screen, mapping)
        await take_over(bot, screen, connection, tmp_path)


async def see_campaigns(bot: Workspace, screen: Screen, mapping: AudienceMapping, folder: Path) -> None:
    """The approval card names the campaigns that use the list. Amir approves."""
    state = bot.iterable.state
    state.add_campaign("Spring launch", [LIST], start_at=state.now_ms() + HOUR_MS)
    state.add_campaign("Win-back", [OTHER_LIST], start_at=state.now_ms() + 2 * HOUR_MS, suppression_list_ids=[LIST])
    await start(bot, folder, mapping, people(range(100)))
    await screen.go("marketing")
    card = screen.message("Spring launch")
    await expect(card).to_contain_text(re.compile("goes to this list (today|tomorrow) at"))  # in an hour
    await expect(card).to_contain_text("leaves out the people on this list")
    await screen.picture("campaigns", card)
    assert await screen.fits(400)
    amir = bot.slack.approver
    (message,) = [each for each in bot.slack.messages("marketing") if "Spring launch" in bot.slack.render(each)]
    await amir.click(message, ApprovalAction.REVIEW)
    await amir.submit(await amir.open_view(ApprovalCallback.REVIEW))
    await ended(bot, (await bot.latest_run()).id)


async def see_drift(bot: Workspace, screen: Screen, mapping: AudienceMapping) -> None:
    """Another program changes the list: an alert says how many people are missing, and *Repair* makes a card."""
    async with bot.engine.database.write() as db:  # a list is not counted right after a run
        await db.execute(update(runs).values(finished_at=runs.c.finished_at - 3600))
    await verify(bot.engine, mapping.id)
    state = bot.iterable.state
    names = state.project().people
    state.lists[LIST].leave([names.emails.first[each] for each in addresses(range(40))], state.clock())
    state.lists[LIST].join([names.add(f"x{number}@example.com", None) for number in range(17)], state.clock())
    await verify(bot.engine, mapping.id)
    bot.services.wake()
    await screen.go("sync-alerts")
    alert = screen.message("The list differs")
    await expect(alert).to_contain_text("40")
    await screen.picture("drift", alert)
    assert await screen.fits(400)
    (message,) = [each for each in bot.slack.messages("sync-alerts") if "The list differs" in bot.slack.render(each)]
    await bot.slack.marketer.click(message, DriftAction.REPAIR)
    await screen.go("marketing")
    repair = screen.message("repairs")
    await expect(repair).to_be_visible()
    await screen.picture("repair", repair)


async def take_over(bot: Workspace, screen: Screen, connection: Connection, folder: Path) -> None:
    """The card of a take-over says how many people of mParticle's own connection stay, leave and join."""
    mapping = await bot.mapping(connection, audience="Loyal", list_id=OTHER_LIST)
    hosted = [HostedProfile(number, f"p{number}@example.com") for number in range(60)]
    fill_list(bot.iterable.state, OTHER_LIST, [*hosted, HostedProfile(1000), HostedProfile(1001)], by_mpid=True)
    fill_list(bot.iterable.state, OTHER_LIST, [HostedProfile(7, device_id="6f1d-IDFV")], by_mpid=False)
    path = folder / "loyal.csv"
    path.write_bytes(audience(people(range(10, 70))))
    request = RunRequest(path=str(path), adopts=OthersOnList.REMOVE)
    await commands.start(bot.engine, mapping, request, by=MAYA, channel=MARKETING, team_id=TEAM)
    bot.services.wake()
    card = screen.message("Loyal")
    await expect(card).to_contain_text(f"takes List {OTHER_LIST} over")
    await screen.picture("take-over", card)
    assert await screen.fits(400)
