"""The delay of an event loop: the time by which a short sleep oversleeps."""

import asyncio

SLEEP_S = 0.005


class Lag:
    """Watches the running loop between `begin` and `end`."""

    def __init__(self) -> None:
        """Store nothing but empty results."""
        self._delays: list[float] = []
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch(), name="lag")

    def end(self) -> list[float]:
        """Stop watching, and return each delay in seconds."""
        assert self._task is not None
        self._task.cancel()
        return self._delays

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SLEEP_S
            await asyncio.sleep(SLEEP_S)
            self._delays.append(loop.time() - due)
