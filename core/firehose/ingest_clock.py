"""The clock of the intake: it never runs backwards, even if the machine's clock is set back."""

import time

from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import processed_messages

# If the last message was processed this far in the future, in seconds, the clock was wrong then.
CREDIBLE_S = 24 * 3600.0


class IngestClock:
    """A clock that orders incoming messages. A process needs one."""

    def __init__(self) -> None:
        """Start from the machine's clock."""
        self._latest = 0.0
        self._looked_at = 0.0
        self._has_asked = False

    async def ask(self, db: AsyncConnection) -> None:
        """On the first call, read when the last message was processed, so that a restart does not go back in time."""
        if not self._has_asked:
            last = await processed_messages.last(db)
            if last is not None and self.now() < last < time.time() + CREDIBLE_S:
                self._latest = last
            self._has_asked = True

    def now(self) -> float:
        """Return the time, in seconds since 1970."""
        looked_at = time.monotonic()
        self._latest = max(time.time(), self._latest + looked_at - self._looked_at)
        self._looked_at = looked_at
        return self._latest
