"""Waking the follower: something that Slack shows has changed in this process."""

import asyncio


class WakeSignal:
    """An event that any handler may set and one follower waits for."""

    def __init__(self) -> None:
        """No I/O."""
        self._event = asyncio.Event()

    def __call__(self) -> None:
        """Something has changed."""
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when something has changed, at the latest after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()
