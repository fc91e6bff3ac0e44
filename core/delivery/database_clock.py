"""The database server's clock, as it is read with answers that take time to arrive.

Several processes compute from it when their slots are. A slow answer makes the clock seem to be slow, and slots later
than they are; other processes would not know that. So the quickest of the last answers counts.
"""

import math
from collections import deque

# So many of the last answers are compared. A clock that drifts is followed as quickly as that.
ANSWERS = 20
# If an answer is later by more than so many seconds, the clock was set.
SET_S = 1.0


class DatabaseClock:
    """`zero` is what `time.monotonic` shows when the server's clock shows 0; infinite before an answer."""

    def __init__(self) -> None:
        """Begin without an answer."""
        self.zero = math.inf
        self._last = deque[float](maxlen=ANSWERS)

    def compare(self, shown: float, answered: float) -> None:
        """Take into account what the server's clock has shown, and when that arrived by `time.monotonic`."""
        if answered - shown - self.zero > SET_S:
            self._last.clear()
        self._last.append(answered - shown)
        self.zero = min(self._last)
