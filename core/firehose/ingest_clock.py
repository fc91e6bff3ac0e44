"""The clock of the intake, which never goes backwards, even if the machine's clock is set back."""

import time

from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import processed_messages

# A last message from further in the future than this, in seconds, was processed while the machine's clock was wrong.
CREDIBLE_S = 24 * 3600.0


class IngestClock:
    """A clock that orders incoming messages. A process needs one."""

    def __init__(self) -> None:
        """Start from the machine's clock."""
        self._latest = 0.0
        self._read_at = 0.0
        self._is_loaded = False

    async def load(self, db: AsyncConnection) -> None:
        """On the first call, read when the last message was processed, so that a restart does not go back in time."""
        if not self._is_loaded:
            last = await processed_messages.last(db)
            if last is not None and self.now() < last < time.time() + CREDIBLE_S:
                self._latest = last
            self._is_loaded = True

    def now(self) -> float:
        """Return the time, in seconds since 1970."""
        read_at = time.monotonic()
        self._latest = max(time.time(), self._latest + read_at - self._read_at)
        self._read_at = read_at
        return self._latest
