"""Who has the home page open, as far as Slack says: who opened it or clicked in it lately, and what they see."""

import asyncio
import time
from dataclasses import dataclass, field

# How long somebody who opened the page, or clicked in it, is believed to look at it, in seconds.
LOOKS_S = 600.0
# How long after a click the page is kept closely up to date, in seconds.
EAGER_S = 5.0


@dataclass(slots=True)
class HomeViewer:
    """One person who looks. Times are of time.monotonic(); `digest` is of what they see.

    `held_until` is when Slack takes a page again.
    """

    team_id: str
    person: str
    seen_at: float
    clicked_at: float | None = None
    looked_at: float = 0.0
    held_until: float = 0.0
    digest: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_due(self, now: float, apart: float) -> bool:
        """Whether it is time to see if their page has changed."""
        if now < self.held_until:
            return False
        eager = self.clicked_at is not None and now - self.clicked_at < EAGER_S
        return eager or now - self.looked_at >= apart


class HomeViewers:
    """Those who look at the home page, in this process."""

    def __init__(self) -> None:
        """No I/O."""
        self._looking: dict[tuple[str, str], HomeViewer] = {}

    def opened(self, team_id: str, person: str) -> HomeViewer:
        """Somebody opened the page."""
        now = time.monotonic()
        found = self._looking.setdefault((team_id, person), HomeViewer(team_id, person, now))
        found.seen_at = now
        return found

    def clicked(self, team_id: str, person: str) -> None:
        """Somebody pressed a button on the page: what comes of it is to be seen there soon."""
        self.opened(team_id, person).clicked_at = time.monotonic()

    def due(self, apart: float) -> list[HomeViewer]:
        """Those whose page is to be looked after now, the longest waiting first; who looks no more is forgotten."""
        now = time.monotonic()
        self._looking = {key: each for key, each in self._looking.items() if now - each.seen_at < LOOKS_S}
        return sorted((each for each in self._looking.values() if each.is_due(now, apart)), key=lambda e: e.looked_at)
