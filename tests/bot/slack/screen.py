"""The local Slack's page, as a person uses it in the browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.async_api import expect

from sandbox.slack import Person, Slack

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

# The margin of a picture, and the width of the column of messages, in pixels.
_MARGIN = 6
_COLUMN = 800
#: Longer than any step takes on a busy machine, in milliseconds.
LONG_MS = 60_000

_WIDER = """
    document.documentElement.scrollWidth > window.innerWidth
    || [...document.querySelectorAll(".messages, .home-body, dialog[open] .dialog-body")]
        .some((area) => area.scrollWidth > area.clientWidth)
"""


class Screen:
    """Reads the page and presses its buttons. `pictures`: the folder for screenshots; None for no screenshots."""

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
        """Act as another person."""
        await self._sidebar.get_by_label("Acting as").select_option(person.id)
        await expect(self._sidebar.locator(".role").first).to_have_text(person.user.title)

    async def go(self, place: str) -> None:
        """Open a channel by its name, *Messages* (with the bot) or *Home*."""
        # in one step: a message redraws the sidebar, and a slower click would miss its button
        await self._sidebar.get_by_role("button", name=re.compile(f"^{place}")).evaluate("button => button.click()")
        await expect(self._sidebar.locator("[aria-current=page]")).to_contain_text(place)

    async def write(self, text: str) -> None:
        """Type a text into the composer and press Enter."""
        await self.page.locator("#composer").fill(text)
        await self.page.locator("#composer").press("Enter")

    def message(self, text: str) -> Locator:
        """Return the latest message of the conversation that contains a text."""
        return self.page.locator("#main .message").filter(has_text=text).last

    async def pick(self, label: str, typed: str, option: str) -> None:
        """Choose an option in a search field of the modal."""
        await self.modal.get_by_role("combobox", name=label).fill(typed)
        await self.modal.get_by_role("option", name=option).first.click()

    async def attach(self, file: Path) -> None:
        """Upload a file in the modal."""
        await self.modal.locator("input[type=file]").set_input_files(file)
        await expect(self.modal.get_by_text(file.name)).to_be_visible()

    async def press(self, button: str) -> None:
        """Press a button of the modal."""
        await self.modal.locator(".dialog-buttons").get_by_role("button", name=button, exact=True).click()

    async def switch(self, name: str, *, on: bool) -> None:
        """Turn a switch of the sandbox panel, and close the panel again."""
        await self.page.get_by_role("button", name="Sandbox", exact=True).click()
        switch = self.panel.get_by_role("switch", name=name).first
        await switch.set_checked(on, force=True)
        await expect(switch).to_be_checked(checked=on)
        await self.panel.get_by_role("button", name="Close the sandbox panel").click()

    async def fits(self, width: int) -> bool:
        """Return whether the page fits on a screen of this width, in pixels, without scrolling sideways."""
        size = self.page.viewport_size
        assert size is not None
        await self.page.set_viewport_size({"width": width, "height": size["height"]})
        wider: bool = await self.page.evaluate(_WIDER)
        await self._whole_page(f"{width}")
        await self.page.set_viewport_size(size)
        return not wider

    async def picture(self, name: str, part: Locator) -> None:
        """Keep a screenshot of a part of the page, if a folder is set."""
        if self._pictures is None:
            return
        await part.evaluate(
            "part => part.scrollIntoView({block: 'nearest'})"
        )  # in one step: a message may change at any moment
        await self.page.mouse.move(0, 0)  # the element below the mouse has another background, and buttons
        box = await part.bounding_box()
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
