"""How fast Slack is told: a look a second, an edit of each message every three, and one budget for a workspace."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MessagingLimits:
    """Seconds, where nothing else is said. Slack takes some 50 edits a minute of an app in a workspace (Tier 3)."""

    look: float = 1.0
    """How often the database is asked without being woken."""
    least_look: float = 0.1
    """How often at most, however often it is woken."""
    gap: float = 3.0
    """Between two edits of one message."""
    edits_a_minute: int = 40
    reserve: int = 10
    """Edits that are kept for what matters more than progress."""
    posts_a_minute: int = 60
    """New messages in one channel: Slack takes about one a second, and a few at once."""
    posts_at_once: int = 3
    back_off: float = 1.0
    """Before the first repetition of what Slack did not take; doubled each time."""
    most_back_off: float = 60.0
    proposals: float = 1.0
    """How long a mapping is proposed before that is shown: often its first run follows at once, and is seen instead."""
    ending: float = 3.0
    """How long the last state may take at the end, when nothing is under way any more."""
    stopping: float = 10.0
    """How long this waits at the end until what is under way has stopped."""
    clock: Callable[[], float] = time.time
    """By which reminders are due."""


@dataclass(slots=True)
class TokenBucket:
    """What a workspace (or a channel) may still have: a bucket that holds `at_once` and fills by the minute's rate."""

    a_minute: int
    at_once: int
    reserve: int = 0
    clock: Callable[[], float] = time.monotonic
    _left: dict[str, float] = field(default_factory=dict)
    _at: dict[str, float] = field(default_factory=dict)

    def take(self, whose: str, *, urgent: bool) -> bool:
        """Take one. Returns whether there was one; what is not urgent leaves the reserve alone."""
        now = self.clock()
        grown = (now - self._at.get(whose, now)) * self.a_minute / 60
        left = min(self._left.get(whose, float(self.at_once)) + grown, float(self.at_once))
        enough = left >= (1 if urgent else 1 + self.reserve)
        self._left[whose], self._at[whose] = left - enough, now
        return enough
