"""The time as far as it is known here: it does not go back when the machine's clock is put back."""

import time

from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import processed_messages

# A message that was taken later than this from now, in seconds, says that the clock was wrong then.
CREDIBLE_S = 24 * 3600.0


class IngestClock:
    """A clock for the order of what comes in. One for a process is enough."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._latest = 0.0
        self._looked_at = 0.0
        self._has_asked = False

    async def ask(self, db: AsyncConnection) -> None:
        """Find out once when a process before this one took a message last."""
        if not self._has_asked:
            last = await processed_messages.last(db)
            if last is not None and self.now() < last < time.time() + CREDIBLE_S:
                self._latest = last
            self._has_asked = True

    def now(self) -> float:
        """Seconds since 1970."""
        looked_at = time.monotonic()
        self._latest = max(time.time(), self._latest + looked_at - self._looked_at)
        self._looked_at = looked_at
        return self._latest
