"""A clock for tests: waiting takes no time, and moves the clock forward."""

import asyncio
import time


class QuickClock:
    """The machine's clock, plus the time that was waited. `slept` has each wait, in seconds."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Move the clock forward."""
        self._ahead += seconds
        self.slept.append(seconds)
        await asyncio.sleep(0)
