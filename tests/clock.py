"""A clock for tests: who waits by it does not wait, and finds that the time has passed."""

import asyncio
import time


class QuickClock:
    """The machine's clock, ahead by what was waited. `slept` is each wait, in seconds."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self.slept: list[float] = []

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._ahead

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self._ahead += seconds
        self.slept.append(seconds)
        await asyncio.sleep(0)
