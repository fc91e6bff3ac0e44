"""The page as people use it: drafts, scrolling, errors, keyboard, screen readers, and the dark theme."""

from __future__ import annotations

import pytest
from slack_bolt.async_app import AsyncApp

from sandbox.slack import Slack
from tests import chromium
from tests.sandbox.slack.bolt import client_of
from tests.sandbox.slack.story import approval_blocks
from tests.sandbox.slack.test_browser import app, browser, open_sidebar, page, slack, write

chromium.needed()

from playwright.async_api import FilePayload, Page, expect  # noqa: E402 - only if it is installed

__all__ = ["app", "browser", "page", "slack"]  # fixtures

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.extended]

CSV: FilePayload = {"name": "vip.csv", "mimeType": "text/csv", "buffer": b"email\n"}
OTHER_CSV: FilePayload = {"name": "other.csv", "mimeType": "text/csv", "buffer": b"email\n"}
# WCAG 2.2, 1.4.3: the least contrast of text.
LEAST_CONTRAST = 4.5
_CONTRASTS = """
    () => {
        const parts = (color) => color.match(/[\\d.]+/g).map(Number);
        const light = (color) => {
            const [r, g, b] = parts(color).slice(0, 3).map((each) => each / 255)
                .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const behind = (node) => {
            for (let each = node; each; each = each.parentElement) {
                const color = getComputedStyle(each).backgroundColor;
                if ((parts(color)[3] ?? 1) > 0.99) return color;
            }
            return "rgb(255, 255, 255)";
        };
        const faint = [];
        for (const node of document.querySelectorAll("body *")) {
            const own = [...node.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim());
            const shown = { opacityProperty: true, visibilityProperty: true };
            if (!own || node.closest('.visually-hidden') || !node.checkVisibility(shown)) continue;
            const [one, other] = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => b - a);
            const ratio = (one + 0.05) / (other + 0.05);
            if (ratio < LEAST) faint.push(`${node.className || node.tagName}: ${ratio.toFixed(2)}`);
        }
        return [...new Set(faint)];
    }
""".replace("LEAST", str(LEAST_CONTRAST))


async def test_files_are_drafts(slack: Slack, app: AsyncApp, page: Page) -> None:
    """A chosen file waits below the text; it can be taken away, and is posted with the text."""
    chooser = page.locator(".composer input[type=file]")
    await chooser.set_input_files([CSV, OTHER_CSV])
    drafts = page.get_by_role("list", name="Files to send")
    await expect(drafts.get_by_role("listitem")).to_have_count(2)
    assert slack.messages("marketing") == []
    await drafts.get_by_role("button", name="Remove other.csv").click()
    await write(page, "This week's audience")

    await expect(page.locator("#main .message").filter(has_text="This week's audience")).to_contain_text("vip.csv")
    await expect(drafts).to_be_hidden()
    (message,) = slack.messages("marketing")
    assert [file.name for file in message.files] == ["vip.csv"]


async def test_new_answers_are_scrolled_to(slack: Slack, app: AsyncApp, page: Page) -> None:
    """An answer of the app is in view, wherever the person had scrolled to; messages of others don't scroll."""
    for number in range(40):
        await slack.operator.say(f"Message {number}", "marketing")
    await expect(page.get_by_text("Message 39")).to_be_in_viewport()
    await page.locator("#main .messages").evaluate("list => list.scrollTop = 0")
    await slack.operator.say("Message 40", "marketing")
    await expect(page.get_by_text("Message 40")).to_be_attached()
    await expect(page.get_by_text("Message 40")).not_to_be_in_viewport()
    await write(page, "/iterable-sync status")

    await expect(page.get_by_text("Only visible to you")).to_be_in_viewport()


async def test_errors_are_at_the_field(slack: Slack, app: AsyncApp, page: Page) -> None:
    """The first wrong field gets the focus and is in view, and screen readers read its error."""
    await write(page, "/iterable-sync")
    modal = page.locator("#modal")
    await modal.get_by_role("button", name="Preview").click()
    mapping = modal.get_by_label("Mapping")

    await expect(mapping).to_be_focused()
    await expect(mapping).to_have_accessible_description("Please complete this required field.")
    await expect(modal.get_by_text("Please complete this required field.").first).to_be_in_viewport()


async def test_menus_and_tools_by_keyboard(slack: Slack, app: AsyncApp, page: Page) -> None:
    """Tab shows the tools of a message; arrows move in menus, and Escape gives the focus back."""
    await client_of(slack).chat_postMessage(channel="C01MARKETING", text="Approval", blocks=approval_blocks())
    menu = page.get_by_role("button", name="More actions", exact=True)
    await menu.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("menuitem", name="Pause the mapping")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("menuitem", name="Show history")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(menu).to_be_focused()
    await page.keyboard.press("Tab")

    reply = page.get_by_role("button", name="Reply in thread")
    await expect(reply).to_be_focused()
    await expect(page.locator("#main .message-tools").last).to_have_css("opacity", "1")


async def test_what_screen_readers_read(slack: Slack, app: AsyncApp, page: Page) -> None:
    """The parts of the page have roles and names."""
    await client_of(slack).chat_postMessage(channel="C01MARKETING", text="Approval", blocks=approval_blocks())
    await expect(page.locator("#main")).to_match_aria_snapshot(
        """
        - main:
          - heading "marketing" [level=1]
          - log "Messages":
            - article /Iterable Sync/:
              - heading /Sync wants approval/
              - button "Review"
              - button "Decline"
              - button "More actions"
              - button "Reply in thread"
          - combobox /Message/
          - button "Attach files"
          - button "Send"
        """
    )
    await open_sidebar(page)
    await expect(page.locator("#sidebar")).to_match_aria_snapshot(
        """
        - navigation "Workspace":
          - combobox "Acting as"
          - heading "Channels" [level=2]
          - button /marketing/
          - heading "Apps" [level=2]
          - button "Home"
        """
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_contrast(slack: Slack, app: AsyncApp, page: Page, theme: str) -> None:
    """All texts of messages, buttons and modals have enough contrast in both themes."""
    await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    await client_of(slack).chat_postMessage(channel="C01MARKETING", text="Approval", blocks=approval_blocks())
    await write(page, "/iterable-sync gallery")
    await page.get_by_text("Sync of VIP buyers").wait_for()
    assert await page.evaluate(_CONTRASTS) == []
    await write(page, "/iterable-sync")
    await page.locator("#modal").get_by_role("button", name="Preview").click()
    await page.get_by_text("Please complete this required field.").first.wait_for()
    assert await page.evaluate(_CONTRASTS) == []
    background = await page.locator("#main .conversation").evaluate("node => getComputedStyle(node).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (theme == "light")


async def test_messages_to_a_read_only_app(slack: Slack, app: AsyncApp, page: Page) -> None:
    """If the manifest turns messages to the app off, the page says so instead of a field."""
    slack.world.app.messages_read_only = True
    await open_sidebar(page)
    await page.locator("#sidebar").get_by_role("button", name="Messages").click()

    await expect(page.get_by_text("Sending messages to this app has been turned off.")).to_be_visible()
    await expect(page.locator("#composer")).to_have_count(0)
