"""The page in a real browser, as wide as a desktop and as a phone."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from slack_bolt.async_app import AsyncApp

from sandbox.slack import Slack, running
from tests import chromium
from tests.sandbox.slack.bolt import app_of, client_of, over_sockets
from tests.sandbox.slack.story import approval_blocks, register_story, start_modal

chromium.needed()

from playwright.async_api import Browser, Page, Route, expect  # noqa: E402 - only if it is installed

SHOTS = os.environ.get("SCREENSHOTS")  # the folder for screenshots


pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.extended]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests of this module."""
    async with chromium.browsing() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def slack() -> AsyncIterator[Slack]:
    """A local Slack with a long time to acknowledge, because these tests concern the page."""
    async with running(event_retries=(), ack_timeout=15.0) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def app(slack: Slack) -> AsyncIterator[AsyncApp]:
    """The bot of the story."""
    bolt = app_of(slack)
    register_story(bolt)
    async with over_sockets(slack, bolt):
        yield bolt


@pytest_asyncio.fixture(params=[1280, 400], loop_scope="module")
async def page(request: pytest.FixtureRequest, browser: Browser, slack: Slack, app: AsyncApp) -> AsyncIterator[Page]:
    """The page at two widths. The test fails if the page has thrown an error."""
    context = await browser.new_context(viewport={"width": request.param, "height": 800})
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(slack.page_url)
    await expect(page.locator("#composer")).to_be_visible()
    yield page
    if SHOTS:
        await page.screenshot(path=f"{SHOTS}/{request.node.name}.png")
    await context.close()
    assert errors == []


async def write(page: Page, text: str) -> None:
    """Type a text into the composer and press Enter."""
    await page.locator("#composer").fill(text)
    await page.keyboard.press("Enter")


async def open_sidebar(page: Page) -> None:
    """Show the sidebar, which is hidden on a phone."""
    opener = page.get_by_role("button", name="Conversations")
    if await opener.is_visible():
        await opener.click()


async def test_from_command_to_approval(slack: Slack, page: Page) -> None:
    """A person fills in the modal, corrects the errors of the page and of the app, and sees the card."""
    await write(page, "/iterable-sync")
    modal = page.locator("#modal")
    await modal.get_by_label("Mapping").fill("sale")
    await modal.get_by_role("option", name="Spring sale, VIP").wait_for()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    file = {"name": "vip.csv", "mimeType": "text/csv", "buffer": b"email\n"}
    await modal.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
    await expect(modal.get_by_text("vip.csv")).to_be_visible()
    await modal.get_by_text("Add only").click()
    await modal.get_by_role("button", name="Preview").click()
    await expect(modal.get_by_text("Please complete this required field.")).to_be_visible()
    await modal.get_by_label("Data center").select_option("eu")
    await modal.get_by_role("button", name="Preview").click()
    await expect(modal.get_by_text("This mapping was approved as a mirror.")).to_be_visible()
    await modal.get_by_text("Mirror", exact=True).click()
    await modal.get_by_role("button", name="Preview").click()

    await expect(page.get_by_role("heading", name="Sync wants approval")).to_be_visible()
    await expect(modal).to_be_hidden()
    assert slack.marketer.views == []


async def test_message_changes_in_place(slack: Slack, page: Page) -> None:
    """A button asks for confirmation, the app updates the message, and the page shows the update."""
    client = client_of(slack)
    await client.chat_postMessage(channel="C01MARKETING", text="Approval", blocks=approval_blocks())
    await page.get_by_role("button", name="Decline").click()
    dialog = page.get_by_role("dialog", name="Decline this sync?")
    await dialog.get_by_role("button", name="Go back").click()
    await expect(page.get_by_role("heading", name="Sync wants approval")).to_be_visible()
    await page.get_by_role("button", name="Decline").click()
    await dialog.get_by_role("button", name="Decline").click()

    await expect(page.get_by_text("Declined by @Maya Lindqvist")).to_be_visible()
    await expect(page.get_by_role("heading", name="Sync wants approval")).to_have_count(0)


async def test_ephemeral_answer_and_act_as(slack: Slack, page: Page) -> None:
    """An ephemeral answer disappears when the page acts as another person."""
    await write(page, "/iterable-sync status")
    await expect(page.get_by_text("Only visible to you")).to_be_visible()
    await open_sidebar(page)
    await page.get_by_label("Acting as").select_option("U01AMIR")
    await page.keyboard.press("Escape")

    await expect(page.get_by_text("Only visible to you")).to_have_count(0)


async def test_person_chosen_while_the_page_loads(slack: Slack, page: Page) -> None:
    """A person who is chosen while the page loads stays chosen."""
    may_continue = asyncio.Event()

    async def hold(route: Route) -> None:
        await may_continue.wait()
        await route.continue_()

    await open_sidebar(page)
    await page.route("**/_page/state*", hold, times=1)
    async with page.expect_request("**/_page/state*"):
        await slack.operator.say("Hello", "marketing")
    await page.get_by_label("Acting as").select_option("U01AMIR")
    may_continue.set()

    await expect(page.locator("#sidebar .role").first).to_have_text("Head of CRM, approver")
    await expect(page.get_by_label("Acting as")).to_have_value("U01AMIR")


async def test_dates_are_formatted(slack: Slack, page: Page) -> None:
    """The page formats a date as its format says, such as "today"."""
    text = f"Since <!date^{int(time.time())}^{{date_short_pretty}} at {{time}}|some day>"
    await client_of(slack).chat_postMessage(channel="C01MARKETING", text=text)

    await expect(page.get_by_text("Since today at")).to_be_visible()


async def test_home_tab(slack: Slack, page: Page) -> None:
    """The app publishes the home tab when a person opens it, and the page shows it."""
    await open_sidebar(page)
    await page.locator("#sidebar").get_by_role("button", name="Home").click()

    await expect(page.get_by_role("heading", name="Connections")).to_be_visible()
    await expect(page.get_by_text("Healthy")).to_be_visible()


async def test_thread_and_file(slack: Slack, page: Page) -> None:
    """The page shows a file with its name, and a reply appears in the thread."""
    await slack.approver.upload_file("marketing", "vip.csv", b"email\n", "Here")
    await page.get_by_role("button", name="Reply in thread").first.focus()
    await page.keyboard.press("Enter")
    await page.locator("#thread-composer").fill("Thanks")
    await page.keyboard.press("Enter")

    await expect(page.locator("#thread").get_by_text("Thanks")).to_be_visible()
    await expect(page.locator("#thread").get_by_text("vip.csv")).to_be_visible()
    assert slack.messages("marketing")[-1].thread_ts == slack.messages("marketing")[0].ts


async def test_typed_markup_is_text(slack: Slack, page: Page) -> None:
    """The page shows typed HTML as text."""
    await write(page, "<img src=x onerror=alert(1)> & *bold*")

    await expect(page.get_by_text("<img src=x onerror=alert(1)> & bold")).to_be_visible()
    await expect(page.locator(".message-text strong")).to_have_text("bold")
    await expect(page.locator(".message-text img")).to_have_count(0)


async def test_panel_switches_a_fault(slack: Slack, page: Page) -> None:
    """A switch of the panel adds a fault, and removes it."""
    await page.get_by_role("button", name="Sandbox", exact=True).click()
    switch = page.get_by_role("switch", name="Channel not found")
    await switch.check(force=True)
    await slack.wait_for(lambda: [fault.kind for fault in slack.faults.active] == ["channel_not_found"])
    await switch.uncheck(force=True)

    await slack.wait_for(lambda: slack.faults.active == [])


async def test_switch_is_switched_back_at_once(slack: Slack, page: Page) -> None:
    """A fault is removed even if the answer to adding it was not there yet."""
    is_switched_back = asyncio.Event()

    async def hold(route: Route) -> None:
        await is_switched_back.wait()
        await route.continue_()

    await page.get_by_role("button", name="Sandbox", exact=True).click()
    switch = page.get_by_role("switch", name="Channel not found")
    await page.route("**/slack/faults", hold)
    async with page.expect_response(lambda response: response.request.method == "DELETE"):
        await switch.check(force=True)
        await switch.uncheck(force=True)
        is_switched_back.set()

    assert slack.faults.active == []


async def test_nothing_is_wider_than_the_screen(slack: Slack, page: Page) -> None:
    """Plans, tables, charts and long words fit on the screen."""
    await write(page, "/iterable-sync gallery")
    await page.get_by_text("Sync of VIP buyers").wait_for()
    await page.get_by_role("img", name="List sizes. VIP buyers: Mon 4700, Tue 4900").wait_for()

    wider = await page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    inside = await page.evaluate(
        "[...document.querySelectorAll('.messages')].every(area => area.scrollWidth <= area.clientWidth)"
    )
    assert (wider, inside) == (False, True)


async def test_update_of_a_modal_keeps_typed_text(slack: Slack, page: Page) -> None:
    """An update of the modal keeps the typed text, the focus and the caret."""
    await write(page, "/iterable-sync")
    comment = page.locator("#modal").get_by_label("Comment")
    await comment.fill("Half a sent")
    view = await slack.marketer.open_view("start")
    changed = start_modal() | {"title": {"type": "plain_text", "text": "Another title"}}
    await client_of(slack).views_update(view_id=view.id, view=changed)
    await expect(page.get_by_role("heading", name="Another title")).to_be_visible()
    await page.keyboard.type("ence")

    await expect(comment).to_have_value("Half a sentence")


async def test_modal_keeps_the_focus_and_gives_it_back(slack: Slack, page: Page) -> None:
    """Tab stays inside the modal, and Escape closes it and restores the focus."""
    await write(page, "/iterable-sync")
    await page.locator("#modal").wait_for()
    for _ in range(14):
        await page.keyboard.press("Tab")
        inside = await page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('#modal')"
        )
        assert inside
    await page.keyboard.press("Escape")

    await expect(page.locator("#modal")).to_be_hidden()
    await expect(page.locator("#composer")).to_be_focused()
