"""The client's clock. Tests replace it, so that they need not wait."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The time that passes, and a way to wait."""

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary moment. Never goes backwards."""

    async def sleep(self, seconds: float) -> None:
        """Wait for this many seconds."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary moment. Never goes backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for this many seconds."""
        await asyncio.sleep(seconds)
