"""The lease of a process: it may send, and take over the work of others, while it was heard of a moment ago.

A process renews its lease with each heartbeat that the database took. Others take its work over only when its lease has
run out and the last request that it could send until then has timed out, so that no two processes ever send for one
list. A process that was paused has no other way to notice that: its lease goes by a clock that counts suspension.
"""

import asyncio
import time
from dataclasses import dataclass, field

from core.errors import SyncError

# Seconds between heartbeats; how long a heartbeat lets a process send; and the longest that a request may take.
HEARTBEAT_S = 5.0
LEASE_S = 15.0
REQUEST_TIMEOUT_S = 60.0
# What is added before others take over, in seconds: for how long the kernel may hold what was written.
MARGIN_S = 5.0

# Counts the time in which the machine was suspended, which time.monotonic() leaves out on Linux. On macOS
# CLOCK_MONOTONIC does that (clock_gettime(3) there).
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Return seconds since some point in the past, of all time: also that in which this process or machine slept."""
    return time.clock_gettime(_CLOCK)


class LeaseLostError(SyncError):
    """Other processes declared this one dead, and may have taken over its work: it must end."""

    code = "declared_dead"


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How long things take, in seconds. All processes on a database must agree."""

    heartbeat_s: float = field(default_factory=lambda: HEARTBEAT_S)
    lease_s: float = field(default_factory=lambda: LEASE_S)
    request_timeout_s: float = field(default_factory=lambda: REQUEST_TIMEOUT_S)
    margin_s: float = field(default_factory=lambda: MARGIN_S)

    @property
    def dead_after_s(self) -> float:
        """Silence after which a process is declared dead: whatever it sent has ended by then."""
        return self.lease_s + self.request_timeout_s + self.margin_s


class Lease:
    """Whether this process may send. Renewed by its heartbeats, lost when others declared it dead."""

    def __init__(self, times: LeaseTimes) -> None:
        """Take the times. Nothing may be sent before the first heartbeat."""
        self._times = times
        self._until = 0.0
        self._changed = asyncio.Event()
        self.is_lost = False

    def renew(self, beaten_at: float) -> None:
        """Take note of a heartbeat. `beaten_at` is when it was sent to the database, by `elapsed()`."""
        self._until = beaten_at + self._times.lease_s
        self._changed.set()

    def lose(self) -> None:
        """Take note that this process was declared dead: nothing leaves it any longer."""
        self.is_lost = True
        self._changed.set()

    def is_open(self) -> bool:
        """Return whether a request may leave at this instant."""
        return not self.is_lost and elapsed() < self._until

    async def until_open(self) -> None:
        """Wait until a request may leave. Raises LeaseLostError if this process was declared dead."""
        while not self.is_open():
            if self.is_lost:
                raise LeaseLostError(lost_message(self._times))
            self._changed.clear()
            await self._changed.wait()


def lost_message(times: LeaseTimes) -> str:
    """Return what is said when this process was declared dead."""
    return (
        f"This process was not heard of for {times.dead_after_s:g} seconds (it was paused, or could not reach the "
        "database), so the others declared it dead and took over its work. It ends without sending anything more. "
        "Start it again: runs resume where they stopped."
    )
