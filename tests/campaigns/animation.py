"""Makes the animated picture of README: a card is approved, becomes the progress, and ends as the summary.

`python -m tests.campaigns.animation` plays it in the local Slack, in Chromium, and writes docs/images/sync.gif.
"""

import asyncio
import io
import re
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from PIL import Image
from playwright.async_api import Page, ViewportSize, expect

from core.connections.mapping_lifecycle import propose
from core.iterable import IterableList
from core.models.run import RunRequest
from core.runs import commands
from core.store.mappings import RemovalPolicy
from sandbox import sample_audiences
from sandbox.iterable import running as iterable_running
from sandbox.slack import running as slack_running
from tests import chromium
from tests.bot.slack.harness import BRISK, MANIFEST, MARKETING, MAYA, TEAM, running_bot
from tests.bot.slack.screen import LONG_MS, Screen

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "sync.gif"
LIST_NAME = "Spring shoppers"
# Iterable lists a new list only after a minute.
LONG_AGO_MS = 1_700_000_000_000
SIZE: ViewportSize = {"width": 960, "height": 640}
COLORS = 160


class Film:
    """The frames of the picture, each with the time for which it is shown (in seconds)."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._frames: list[tuple[Image.Image, float]] = []

    async def take(self, seconds: float) -> None:
        """Take a frame."""
        await self._page.mouse.move(0, 0)  # the element below the mouse has another background
        content = await self._page.screenshot(animations="disabled", caret="hide")
        self._frames.append((Image.open(io.BytesIO(content)).convert("RGB"), seconds))

    def write(self, path: Path) -> None:
        """Write all frames as an animated GIF that repeats."""
        all_frames = Image.new("RGB", (SIZE["width"], SIZE["height"] * len(self._frames)))
        for number, (frame, _) in enumerate(self._frames):
            all_frames.paste(frame, (0, number * SIZE["height"]))
        palette = all_frames.quantize(COLORS)
        images = [frame.quantize(COLORS, palette=palette, dither=Image.Dither.NONE) for frame, _ in self._frames]
        durations = [round(seconds * 1000) for _, seconds in self._frames]
        images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=True)


async def play(folder: Path) -> Film:
    """Play the sync, and return its film."""
    async with AsyncExitStack() as stack:
        iterable = await stack.enter_async_context(iterable_running())
        target = iterable.state.add_list(LIST_NAME, created_at=LONG_AGO_MS)
        slack = await stack.enter_async_context(
            slack_running(manifest=MANIFEST, iterable_url=iterable.url, ack_timeout=LONG_MS / 1000)
        )
        bot = await stack.enter_async_context(running_bot(slack, iterable, folder, pace=replace(BRISK, gap=0.1)))
        browser = await stack.enter_async_context(chromium.browsing())
        page = await browser.new_page(viewport=SIZE)
        page.set_default_timeout(LONG_MS)
        expect.set_options(timeout=LONG_MS)
        screen, film = Screen(page, slack), Film(page)
        mapping = await propose(
            bot.engine,
            await bot.connection(requests_per_second=1.0),
            IterableList(target.id, LIST_NAME, "Standard", created_at=LONG_AGO_MS),
            audience="SpringShoppers",
            mode="auto",
            removals=RemovalPolicy.REMOVE,
            channel=MARKETING,
            by=MAYA,
            team_id=TEAM,
        )
        await screen.open()
        await screen.act_as(slack.approver)
        await screen.go("marketing")
        request = RunRequest(path=str(sample_audiences.write_first(folder)))
        await commands.start(bot.engine, mapping, request, by=MAYA, channel=MARKETING, team_id=TEAM)
        bot.services.wake()
        card = screen.message("Approval needed")
        await expect(card.get_by_role("button", name="Review")).to_be_visible()
        await card.scroll_into_view_if_needed()
        await film.take(3.5)
        await card.get_by_role("button", name="Review").click()
        await expect(screen.modal).to_contain_text("***@example.com")
        await film.take(2.5)
        await screen.press("Approve")
        await expect(screen.modal).to_be_hidden()
        progress = screen.message("Syncing")
        shown = ""
        while texts := await progress.all_inner_texts():
            percent = re.search(r"\d+ %", texts[-1])
            if percent is not None and percent[0] != shown:
                shown = percent[0]
                await film.take(0.7)
        await expect(screen.message("Synced SpringShoppers")).to_contain_text("now has 4,700 people")
        await film.take(5.0)
    return film


def main() -> None:
    """Make the picture."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder))).write(PICTURE)
    print(f"{PICTURE} has {PICTURE.stat().st_size:,} bytes.")


if __name__ == "__main__":
    main()
