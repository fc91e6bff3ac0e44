"""How late an event loop is: by how much a short sleep oversleeps."""

import asyncio

SLEEP_S = 0.005


class Lag:
    """Watches the running loop between `begin` and `end`."""

    def __init__(self) -> None:
        """No I/O."""
        self._late: list[float] = []
        self._watching: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin to watch."""
        self._watching = asyncio.create_task(self._watch(), name="lag")

    def end(self) -> list[float]:
        """Stop watching, and return how late each look was, in seconds."""
        assert self._watching is not None
        self._watching.cancel()
        return self._late

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SLEEP_S
            await asyncio.sleep(SLEEP_S)
            self._late.append(loop.time() - due)
