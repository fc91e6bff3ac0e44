"""The local Slack's page, as a person at the screen uses it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.async_api import expect

from sandbox.slack import Person, Slack

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

# Around what a picture shows, in pixels; and the width of a message's own column.
_MARGIN = 6
_COLUMN = 800
#: Longer than anything takes on a machine that has other things to do, in milliseconds.
LONG_MS = 30_000

_WIDER = """
    document.documentElement.scrollWidth > window.innerWidth
    || [...document.querySelectorAll(".messages, .home-body, dialog[open] .dialog-body")]
        .some((one) => one.scrollWidth > one.clientWidth)
"""


class Screen:
    """Reads and presses what is on the page. `pictures` is the folder where pictures of it are kept, None for none."""

    def __init__(self, page: Page, slack: Slack, pictures: Path | None = None) -> None:
        self.page = page
        self.modal = page.locator("#modal")
        self.panel = page.locator("#panel")
        self._sidebar = page.locator("#sidebar")
        self._slack = slack
        self._pictures = pictures

    async def open(self) -> None:
        """Open the page."""
        await self.page.goto(self._slack.page_url)
        await expect(self.page.locator("#composer")).to_be_visible()

    async def act_as(self, person: Person) -> None:
        """Be somebody else."""
        await self._sidebar.get_by_label("Acting as").select_option(person.id)
        await expect(self._sidebar.locator(".role").first).to_have_text(person.user.title)

    async def go(self, place: str) -> None:
        """Open a channel by its name, *Messages* (with the bot) or *Home*."""
        # at once: the sidebar is drawn anew when a message comes, and a press that began before ends on nothing
        await self._sidebar.get_by_role("button", name=re.compile(f"^{place}")).evaluate("one => one.click()")
        await expect(self._sidebar.locator("[aria-current=page]")).to_contain_text(place)

    async def write(self, text: str) -> None:
        """Type into the field and press Enter."""
        await self.page.locator("#composer").fill(text)
        await self.page.locator("#composer").press("Enter")

    def message(self, text: str) -> Locator:
        """The latest message of the conversation that contains a text."""
        return self.page.locator("#main .message").filter(has_text=text).last

    async def pick(self, label: str, typed: str, option: str) -> None:
        """Choose in a field of the modal that offers what fits."""
        await self.modal.get_by_label(label).fill(typed)
        await self.modal.get_by_role("option", name=option).first.click()

    async def attach(self, file: Path) -> None:
        """Put a file into the modal."""
        await self.modal.locator("input[type=file]").set_input_files(file)
        await expect(self.modal.get_by_text(file.name)).to_be_visible()

    async def press(self, button: str) -> None:
        """Press a button of the modal."""
        await self.modal.locator(".dialog-buttons").get_by_role("button", name=button, exact=True).click()

    async def switch(self, name: str, *, on: bool) -> None:
        """Turn a switch of the panel beside the workspace, and close the panel again."""
        await self.page.get_by_role("button", name="Sandbox", exact=True).click()
        switch = self.panel.get_by_role("switch", name=name).first
        await switch.set_checked(on, force=True)
        await expect(switch).to_be_checked(checked=on)
        await self.panel.get_by_role("button", name="Close the sandbox panel").click()

    async def fits(self, width: int) -> bool:
        """Whether nothing that is shown is wider than a screen of this width."""
        size = self.page.viewport_size
        assert size is not None
        await self.page.set_viewport_size({"width": width, "height": size["height"]})
        wider: bool = await self.page.evaluate(_WIDER)
        await self._whole_page(f"{width}")
        await self.page.set_viewport_size(size)
        return not wider

    async def picture(self, name: str, of: Locator) -> None:
        """Keep a picture of a part of the page, where pictures are wanted."""
        if self._pictures is None:
            return
        await of.evaluate("one => one.scrollIntoView({block: 'nearest'})")  # at once: a message may change any moment
        await self.page.mouse.move(0, 0)  # what the mouse is over has a background and tools of its own
        box = await of.bounding_box()
        assert box is not None
        clip = {
            "x": max(0.0, box["x"] - _MARGIN),
            "y": max(0.0, box["y"] - _MARGIN),
            "width": min(box["width"], _COLUMN) + 2 * _MARGIN,
            "height": box["height"] + 2 * _MARGIN,
        }
        await self.page.screenshot(path=self._pictures / f"{name}.png", clip=clip)  # type: ignore[arg-type]

    async def _whole_page(self, name: str) -> None:
        if self._pictures is not None and (self._pictures / name).is_dir():
            number = len(list((self._pictures / name).iterdir()))
            await self.page.screenshot(path=self._pictures / name / f"{number}.png")
