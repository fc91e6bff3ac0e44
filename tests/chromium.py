"""A real browser for tests: Debian's Chromium, driven by Playwright. Tests are skipped if one of the two is missing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def needed() -> None:
    """Skip the module that calls this function, with the reason, if there is no browser."""
    if not CHROMIUM.exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}", allow_module_level=True)
    pytest.importorskip("playwright.async_api", reason="Playwright's Python client is not installed")


@asynccontextmanager
async def browsing() -> "AsyncIterator[Browser]":
    """Run a browser for the length of the block."""
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=str(CHROMIUM), args=_ARGS)
        try:
            yield browser
        finally:
            await browser.close()
