"""The lease of a process: while it is valid, the process may send, and may take over the work of dead processes.

Each heartbeat that the database stores renews the lease. Other processes take over the work only after the lease has
expired and the last request that the process could send has timed out. So two processes never send to one list at the
same time. The lease uses a clock that counts suspension, because a paused process can't notice its pause otherwise.
"""

import asyncio
import time
from dataclasses import dataclass, field

from core.errors import SyncError

# The seconds between heartbeats, for which a heartbeat permits sending, and that a request may take at most.
HEARTBEAT_S = 5.0
LEASE_S = 15.0
REQUEST_TIMEOUT_S = 60.0
# The additional wait before a takeover, in seconds: the kernel may hold written bytes for so long.
MARGIN_S = 5.0

# Counts the time in which the machine was suspended, unlike time.monotonic() on Linux. On macOS CLOCK_MONOTONIC counts
# it (clock_gettime(3) there).
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Return the seconds since some point in the past, including the time for which the machine was suspended."""
    return time.clock_gettime(_CLOCK)


class LeaseLostError(SyncError):
    """Other processes declared this one dead and may have taken over its work, so it has to end."""

    code = "declared_dead"


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """The times of leases, in seconds. All processes of a database must use the same."""

    heartbeat_s: float = field(default_factory=lambda: HEARTBEAT_S)
    lease_s: float = field(default_factory=lambda: LEASE_S)
    request_timeout_s: float = field(default_factory=lambda: REQUEST_TIMEOUT_S)
    margin_s: float = field(default_factory=lambda: MARGIN_S)

    @property
    def dead_after_s(self) -> float:
        """The silence after which a process is declared dead: all of its requests have ended by then."""
        return self.lease_s + self.request_timeout_s + self.margin_s


class Lease:
    """The permission of this process to send. Heartbeats renew it; it is lost when others declare the process dead."""

    def __init__(self, times: LeaseTimes) -> None:
        """Take the times. Nothing may be sent before the first heartbeat."""
        self._times = times
        self._until = 0.0
        self._changed = asyncio.Event()
        self.is_lost = False

    def renew(self, beaten_at: float) -> None:
        """Extend the lease after a heartbeat. `beaten_at` is when it was sent to the database, by `elapsed()`."""
        self._until = beaten_at + self._times.lease_s
        self._changed.set()

    def lose(self) -> None:
        """End the lease, because this process was declared dead. It sends nothing from now on."""
        self.is_lost = True
        self._changed.set()

    def is_open(self) -> bool:
        """Return whether a request may leave now."""
        return not self.is_lost and elapsed() < self._until

    async def until_open(self) -> None:
        """Wait until a request may leave. Raises LeaseLostError if this process was declared dead."""
        while not self.is_open():
            if self.is_lost:
                raise LeaseLostError(lost_message(self._times))
            self._changed.clear()
            await self._changed.wait()


def lost_message(times: LeaseTimes) -> str:
    """Return the error text for a process that was declared dead."""
    return (
        f"This process was not heard of for {times.dead_after_s:g} seconds (it was paused, or could not reach the "
        "database), so the others declared it dead and took over its work. It ends without sending anything more. "
        "Start it again: runs resume where they stopped."
    )
