"""The whole story in a real browser: connect, map, approve, follow, fail and recover.

With ITERABLE_SYNC_SCREENSHOTS=docs/images it keeps the screenshots of the documentation.
"""

import os
import re
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import sample_audiences
from sandbox.iterable import Fault
from sandbox.iterable import running as iterable_running
from sandbox.slack import running as slack_running
from tests import chromium

chromium.needed()

from playwright.async_api import expect  # noqa: E402 - only if it is installed

from tests.bot.slack.harness import ACK_TIMEOUT, BRISK, MANIFEST, Workspace, running_bot  # noqa: E402
from tests.bot.slack.screen import LONG_MS, Screen  # noqa: E402
from tests.core.harness import HELD_S  # noqa: E402

PICTURES = os.environ.get("ITERABLE_SYNC_SCREENSHOTS")
# In milliseconds: Iterable lists a new list only after a minute.
LONG_AGO = 1_700_000_000_000
LIST_NAME = "Spring shoppers"
# Requests a second: slow enough to see a run in progress.
RATE = "3"


@pytest.mark.extended
async def test_story(tmp_path: Path) -> None:
    """Ada connects, Maya proposes, Amir approves, only Maya gets the rejected members, a failed sync is retried, and
    the list is equal to the audience each time."""
    async with AsyncExitStack() as stack:
        iterable = await stack.enter_async_context(iterable_running())
        target = iterable.state.add_list(LIST_NAME, created_at=LONG_AGO)
        slack = await stack.enter_async_context(
            slack_running(manifest=MANIFEST, iterable_url=iterable.url, ack_timeout=ACK_TIMEOUT)
        )
        bot = await stack.enter_async_context(running_bot(slack, iterable, tmp_path, pace=replace(BRISK, gap=0.2)))
        browser = await stack.enter_async_context(chromium.browsing())
        page = await browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(LONG_MS)
        expect.set_options(timeout=LONG_MS)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        screen = Screen(page, slack, Path(PICTURES) if PICTURES else None)

        await screen.open()
        await connect(bot, screen)
        await propose(bot, screen, sample_audiences.write_first(tmp_path))
        assert bot.emails(target.id) == set()
        await approve(bot, screen)
        assert bot.emails(target.id) == sample_audiences.emails(sample_audiences.first())
        await look_at_rejected(bot, screen)
        await break_iterable(bot, screen, sample_audiences.write_later(tmp_path))
        await retry(screen)
        assert bot.emails(target.id) == sample_audiences.emails(sample_audiences.later())
        await look_at_home(bot, screen)

        assert errors == []


async def connect(bot: Workspace, screen: Screen) -> None:
    """The first `/iterable-sync` of an admin opens the form that connects; the key is not shown afterwards."""
    await screen.act_as(bot.slack.admin)
    await screen.go("marketing")
    await screen.write("/iterable-sync")
    await screen.modal.get_by_label("Name").fill("Shop")
    await screen.modal.get_by_label("API key").fill(bot.iterable.key)
    await screen.modal.get_by_role("button", name="More options").click()
    await screen.modal.get_by_label("Requests a second").fill(RATE)
    await expect(screen.modal.get_by_label("Name")).to_have_value("Shop")
    await screen.pick("Alert channel", "sync", "#sync-alerts")
    await screen.pick("Who may start syncs", "Maya", "Maya Lindqvist")
    await screen.modal.get_by_role("button", name="Remove Ada Nwosu").click()  # the admin is suggested
    await screen.pick("Approvers", "Amir", "Amir Haddad")
    await screen.press("Connect")

    await expect(screen.modal).to_contain_text("3 lists available")
    await expect(screen.modal).to_contain_text(bot.iterable.key[-4:])
    await expect(screen.page.locator("body")).not_to_contain_text(bot.iterable.key)
    await screen.press("Close")


async def propose(bot: Workspace, screen: Screen, file: Path) -> None:
    """Maya maps the audience of a file to a list, and the channel gets a card with the changes."""
    await screen.act_as(bot.slack.marketer)
    await screen.write("/iterable-sync map")
    await screen.attach(file)
    await screen.pick("List in Iterable", "Spring", LIST_NAME)
    await screen.picture("map", screen.modal)
    assert await screen.fits(400)
    await screen.press("Propose")
    await expect(screen.modal).to_contain_text("Nothing is sent before that.")
    await screen.press("Close")

    card = screen.message("Approval needed")
    await expect(card).to_contain_text("0 → 4,762 people, +4,762")
    await expect(card).to_contain_text("235 people can't be synced")
    await expect(card).to_contain_text("Approvers: @Amir Haddad")
    await screen.picture("approval", card)
    assert await screen.fits(400)


async def approve(bot: Workspace, screen: Screen) -> None:
    """Amir reviews and approves with a comment; the message shows the progress, and then the summary."""
    await screen.act_as(bot.slack.approver)
    await screen.message("Approval needed").get_by_role("button", name="Review").click()
    await expect(screen.modal).to_contain_text("***@example.com")
    await screen.picture("review", screen.modal)
    assert await screen.fits(400)
    await screen.modal.get_by_label("Comment").fill("Fits the spring plan")
    # slow in the middle, so that the progress can be seen, and compared
    bot.iterable.faults.set([Fault("slow", path="/api/lists/subscribe", after=2, delay=HELD_S)])
    await screen.press("Approve")
    await expect(screen.modal).to_be_hidden()

    progress = screen.message("Syncing")
    await expect(progress).to_contain_text(re.compile(r"4\d %"))
    await expect(progress.get_by_role("button", name="Cancel")).to_be_visible()
    await screen.picture("progress", progress)
    bot.iterable.faults.clear()
    summary = screen.message("Synced SpringShoppers")
    await expect(summary).to_contain_text("Spring shoppers now has 4,700 people")
    await expect(summary).to_contain_text("297 people couldn't be synced - 62 more than predicted")
    await expect(summary).to_contain_text("Approved by @Amir Haddad")
    await expect(summary).to_contain_text("“Fits the spring plan”")
    await expect(screen.message("Approval needed")).to_have_count(0)
    await screen.picture("summary", summary)
    assert await screen.fits(400)


async def look_at_rejected(bot: Workspace, screen: Screen) -> None:
    """Maya asks for the rejected members: she gets the file privately, and the channel does not."""
    await screen.act_as(bot.slack.marketer)
    await screen.message("Synced SpringShoppers").get_by_role("button", name="See why").click()
    await expect(screen.modal).to_contain_text("Deleted under GDPR in Iterable")
    await screen.modal.get_by_role("button", name="Send me the file").click()
    await screen.press("Close")
    await expect(screen.page.locator("#main .file")).to_have_count(0)
    await screen.go("Messages")

    file = screen.page.locator("#main .file")
    await expect(file).to_contain_text("rejected-")
    async with screen.page.expect_download() as downloading:
        await file.click()
    content = (await (await downloading.value).path()).read_text()
    assert len(content.splitlines()) == 1 + 297
    assert "No email address." in content


async def break_iterable(bot: Workspace, screen: Screen, file: Path) -> None:
    """A switch breaks Iterable: the next sync fails, the channel gets an alert, and Maya a direct message."""
    await screen.go("marketing")
    await screen.switch("Server errors", on=True)
    await screen.write("/iterable-sync run SpringShoppers")
    await screen.attach(file)
    await screen.press("Start")

    await expect(screen.message("failed")).to_contain_text("Iterable is having problems (HTTP 500")
    await screen.go("Messages")
    await expect(screen.message("Sync failing: SpringShoppers")).to_be_visible()
    await screen.go("sync-alerts")
    alert = screen.message("Sync failing: SpringShoppers")
    await expect(alert).to_contain_text("Progress so far: none")
    await expect(alert).to_contain_text("What you can do:")
    await screen.picture("alert", alert)
    assert await screen.fits(400)


async def retry(screen: Screen) -> None:
    """Iterable works again, the retry resumes the sync, and the alert recovers."""
    await screen.switch("Server errors", on=False)
    await screen.message("Sync failing: SpringShoppers").get_by_role("button", name="Retry now").click()

    await expect(screen.message("It failed for")).to_be_visible()
    await expect(screen.page.locator("#main .message", has_text="Sync failing: SpringShoppers")).to_have_count(0)
    await screen.go("marketing")
    await expect(screen.message("Synced SpringShoppers")).to_contain_text("240 added, 73 updated, 165 removed")


async def look_at_home(bot: Workspace, screen: Screen) -> None:
    """The home page shows the state of the connection and the mapping."""
    await screen.go("Home")
    home = screen.page.locator(".home-page")
    await expect(home).to_contain_text("Shop: healthy")
    await expect(home).to_contain_text("SpringShoppers → Spring shoppers")
    await expect(home).to_contain_text("Done, 240 added, 73 updated, 165 removed, 297 rejected")
    await expect(home).not_to_contain_text("open alert")
    await screen.picture("home", home)
    assert await screen.fits(400)
