"""Rate limits for Slack: poll every second, edit each message at most every 3 s, one token bucket per workspace."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MessagingLimits:
    """Limits, in seconds unless the name says otherwise. Slack allows some 50 edits a minute in a workspace (Tier
    3)."""

    look: float = 1.0
    """The interval at which the database is polled without a wake-up."""
    idle_look: float = 60.0
    """The same while nothing happens in the database. What depends on the time alone is shown so much later."""
    follow: float = 5.0
    """The same for a process that is not the leader: it takes the place of one that has ended."""
    least_look: float = 0.1
    """The shortest interval, however often the reconciler is woken."""
    gap: float = 3.0
    """The least time between two edits of one message."""
    edits_a_minute: int = 40
    reserve: int = 10
    """Edits that are reserved for urgent messages."""
    posts_a_minute: int = 60
    """New messages in one channel. Slack allows about one a second, with short bursts."""
    posts_at_once: int = 3
    back_off: float = 1.0
    """The wait before the first retry; doubled for each further one."""
    most_back_off: float = 60.0
    proposals: float = 1.0
    """How long a new proposal is held back: often its first run follows at once, and its message replaces the card."""
    ending: float = 3.0
    """How long the last state may take at the end, after all work has stopped."""
    stopping: float = 10.0
    """How long the reconciler waits at the end for running work to stop."""


@dataclass(slots=True)
class TokenBucket:
    """A token bucket per workspace or channel: holds `at_once` tokens, and gains `a_minute` tokens a minute."""

    a_minute: int
    at_once: int
    reserve: int = 0
    clock: Callable[[], float] = time.monotonic
    _left: dict[str, float] = field(default_factory=dict)
    _at: dict[str, float] = field(default_factory=dict)

    def take(self, owner: str, *, urgent: bool) -> bool:
        """Take a token. Returns whether there was one. Only urgent requests may use the reserve."""
        now = self.clock()
        grown = (now - self._at.get(owner, now)) * self.a_minute / 60
        left = min(self._left.get(owner, float(self.at_once)) + grown, float(self.at_once))
        enough = left >= (1 if urgent else 1 + self.reserve)
        self._left[owner], self._at[owner] = left - enough, now
        return enough
