"""What an admin sees in a real browser: reports with charts, alert rules, alert routes, API tokens.

With ITERABLE_SYNC_SCREENSHOTS=docs/images it keeps the screenshots of the documentation.
"""

import os
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from core.models.run import RunRequest, RunStatus
from core.notifications import report_page
from core.notifications.event_words import report_title
from core.store import alerts, reports, runs
from core.store.mappings import AudienceMapping
from core.store.tables import runs as runs_table
from sandbox.iterable import running as iterable_running
from sandbox.slack import running as slack_running
from tests import chromium

chromium.needed()

from playwright.async_api import expect  # noqa: E402 - only if it is installed

from tests.bot.slack.following import ended, start  # noqa: E402
from tests.bot.slack.harness import ACK_TIMEOUT, BRISK, MANIFEST, Workspace, running_bot  # noqa: E402
from tests.bot.slack.screen import LONG_MS, Screen  # noqa: E402
from tests.core.harness import people  # noqa: E402

PICTURES = os.environ.get("ITERABLE_SYNC_SCREENSHOTS")
DAY_S = 86_400.0
_CHOOSE = """(opener, choice) => {
    opener.click();
    const items = [...opener.parentElement.querySelectorAll("[role=menuitem]")];
    items.find((item) => item.textContent === choice).click();
}"""
#: What the syncs of the last days changed, per mapping, the newest day last: added and removed.
HISTORY = {
    "Spring shoppers": [(140 + 9 * day % 70, 40 + 13 * day % 50) for day in range(13)],
    "VIP buyers": [(25 + 7 * day % 20, 30 - day) for day in range(13)],
}


@pytest.mark.extended
async def test_reports(tmp_path: Path) -> None:
    """The admin turns the weekly report on and gets one with two charts, and finds the alert rules and routes."""
    async with AsyncExitStack() as stack:
        iterable = await stack.enter_async_context(iterable_running())
        slack = await stack.enter_async_context(
            slack_running(manifest=MANIFEST, iterable_url=iterable.url, ack_timeout=ACK_TIMEOUT)
        )
        bot = await stack.enter_async_context(running_bot(slack, iterable, tmp_path, pace=replace(BRISK, gap=0.2)))
        iterable.settings.update({"limits": {"size": 0, "getUsers": 0, "bulk": 0}})
        browser = await stack.enter_async_context(chromium.browsing())
        page = await browser.new_page(viewport={"width": 1280, "height": 1200})
        page.set_default_timeout(LONG_MS)
        expect.set_options(timeout=LONG_MS)
        screen = Screen(page, slack, Path(PICTURES) if PICTURES else None)
        await screen.open()
        connection = await bot.connection()
        for number, audience in enumerate(HISTORY):
            mapping = await bot.mapping(connection, audience, list_id=1001 + number)
            await ended(bot, await start(bot, tmp_path, mapping, people(range(4_000 - 2_700 * number))))
            await remember(bot, mapping, HISTORY[audience])
        async with bot.engine.database.write() as db:
            await alerts.open_(
                db,
                connection_id=connection.id,
                mapping_id=mapping.id,
                run_id=None,
                code="late_file",
                message="No new file of audience VIP buyers has come for 30 hours.",
            )
        await screen.act_as(slack.admin)
        await turn_on(screen)
        await look_at_report(screen)
        await look_at_rules(screen)
        await look_at_routes(screen)
        await look_at_tokens(screen)
        async with bot.engine.database.read() as db:
            (made,) = await reports.made_since(db, 0.0)
        await page.set_viewport_size({"width": 700, "height": 900})
        await page.set_content(report_page.render(made.report, report_title(made.report, "Shop")))
        await expect(page.get_by_role("heading", name="People added and removed each day")).to_be_visible()
        await screen.picture("weekly-report-mail", page.locator("body > div"))


async def remember(bot: Workspace, mapping: AudienceMapping, changes: list[tuple[int, int]]) -> None:
    """Store runs of the last days, as if they had been made then, and the first run before them."""
    async with bot.engine.database.write() as db:
        long_ago = {"finished_at": time.time() - 20 * DAY_S, "created_at": time.time() - 20 * DAY_S}
        await db.execute(update(runs_table).where(runs_table.c.mapping_id == mapping.id).values(**long_ago))
        for ago, (added, removed) in enumerate(reversed(changes), start=1):
            run_id, at = runs.new_id(), time.time() - ago * DAY_S
            await runs.add(
                db,
                run_id=run_id,
                mapping=mapping,
                mode="mirror",
                user_id_field="customerId",
                rate=0.0,
                request=RunRequest(path="a.csv"),
            )
            numbers = {"added": added, "removed": removed, "finished_at": at, "started_at": at - 60, "created_at": at}
            ended_run = update(runs_table).where(runs_table.c.id == run_id)
            await db.execute(ended_run.values(status=RunStatus.SUCCEEDED.value, **numbers))


async def choose(screen: Screen, heading: str, choice: str) -> None:
    """Choose in the menu behind three dots of a mapping or connection on the Home page."""
    await screen.go("Home")
    row = screen.page.locator(".home-body .block").filter(has_text=heading).first
    menu = "button[@aria-haspopup='menu']"
    opener = row.locator(f"xpath=descendant::{menu} | following::{menu}").first
    await expect(screen.modal).to_be_hidden()
    for _ in range(5):  # the page may be published again between the press and the choice, which is then lost
        await opener.evaluate(_CHOOSE, choice)
        try:
            await expect(screen.modal).to_be_visible(timeout=LONG_MS / 6)
        except AssertionError:
            continue
        return


async def turn_on(screen: Screen) -> None:
    """The form of reports."""
    await choose(screen, "no limit of requests", "Reports")
    await screen.modal.get_by_label("Weekly report", exact=True).select_option("Monday")
    await screen.modal.get_by_label("Time zone", exact=True).fill("Europe/Berlin")
    await screen.picture("reports-form", screen.modal)
    assert await screen.fits(400)
    await screen.press("Save")
    await expect(screen.modal).to_contain_text("The weekly report comes each Monday, at 09:00")
    await screen.press("Close")
    await choose(screen, "no limit of requests", "Reports")
    await screen.modal.get_by_role("button", name="Send the weekly report now").click()
    await expect(screen.modal).to_contain_text("The report is on its way")
    await screen.press("Close")


async def look_at_report(screen: Screen) -> None:
    """The report has two charts, which name their numbers, and says what needs someone."""
    await screen.go("sync-alerts")
    report = screen.message("Weekly report")
    await expect(report.get_by_role("img", name="People added and removed each day")).to_be_visible()
    await expect(report.get_by_role("img", name="List sizes, in people")).to_be_visible()
    await expect(report).to_contain_text("No new file of audience VIP buyers")
    await expect(screen.page.locator(".toast")).to_have_count(0)
    await screen.picture("weekly-report", report)
    assert await screen.fits(400)


async def look_at_rules(screen: Screen) -> None:
    """The alert rules of a mapping."""
    await choose(screen, "Spring shoppers", "Alert rules")
    await expect(screen.modal).to_contain_text("No successful sync (hours)")
    await screen.picture("alert-rules", screen.modal)
    await screen.press("Cancel")


async def look_at_routes(screen: Screen) -> None:
    """The routes of a connection, and the form that adds one."""
    await choose(screen, "no limit of requests", "Alert routes")
    await screen.modal.get_by_role("button", name="Add a route").click()
    await screen.modal.get_by_label("Name", exact=True).fill("On call")
    await screen.modal.get_by_label("PagerDuty routing key").fill("0" * 32)
    await screen.press("Add")
    await expect(screen.modal).to_contain_text("PagerDuty, https://events.pagerduty.com")
    await screen.picture("alert-routes", screen.modal)
    await screen.press("Close")


async def look_at_tokens(screen: Screen) -> None:
    """The form that creates an API token, the token, and the list."""
    await screen.page.get_by_role("button", name="API tokens").click()
    await screen.modal.get_by_role("button", name="Create a token").click()
    await screen.modal.get_by_label("Name", exact=True).fill("airflow")
    for scope in ("Read See", "Run Start"):
        await screen.modal.get_by_role("checkbox", name=scope).check()
    await screen.picture("api-token-form", screen.modal)
    await screen.press("Create")
    await expect(screen.modal).to_contain_text("isync_")
    await screen.press("Done")
    await screen.page.get_by_role("button", name="API tokens").click()
    await expect(screen.modal).to_contain_text("never used")
    await screen.picture("api-tokens", screen.modal)
    await screen.press("Close")
