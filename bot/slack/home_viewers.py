"""The people who have the home page open: who opened it or clicked in it recently, and what they see."""

import asyncio
import time
from dataclasses import dataclass, field

# How long after opening the page, or after a click in it, a person counts as a viewer, in seconds.
LOOKS_S = 600.0
# How long after a click the page is refreshed more often, in seconds.
EAGER_S = 5.0


@dataclass(slots=True)
class HomeViewer:
    """A person who views the home page. `digest` identifies the content that they see, `metadata` is the state of the
    page (the page's `private_metadata`).

    Times are those of time.monotonic(). Slack accepts the next page at `held_until`.
    """

    team_id: str
    person: str
    seen_at: float
    clicked_at: float | None = None
    looked_at: float = 0.0
    held_until: float = 0.0
    digest: str = ""
    metadata: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_due(self, now: float, apart: float) -> bool:
        """Return whether the page should be built again. `apart` is the least time between two builds, in seconds."""
        if now < self.held_until:
            return False
        eager = self.clicked_at is not None and now - self.clicked_at < EAGER_S
        return eager or now - self.looked_at >= apart


class HomeViewers:
    """The viewers of the home page, in this process."""

    def __init__(self) -> None:
        """No I/O."""
        self._looking: dict[tuple[str, str], HomeViewer] = {}

    def opened(self, team_id: str, person: str) -> HomeViewer:
        """Record that a person opened the page."""
        now = time.monotonic()
        viewer = self._looking.setdefault((team_id, person), HomeViewer(team_id, person, now))
        viewer.seen_at = now
        return viewer

    def clicked(self, team_id: str, person: str) -> None:
        """Record that a person clicked in the page: its outcome should show there soon."""
        self.opened(team_id, person).clicked_at = time.monotonic()

    def due(self, apart: float) -> list[HomeViewer]:
        """Return the viewers whose page is due, the longest waiting first, and drop those who no longer view it."""
        now = time.monotonic()
        self._looking = {key: each for key, each in self._looking.items() if now - each.seen_at < LOOKS_S}
        return sorted((each for each in self._looking.values() if each.is_due(now, apart)), key=lambda e: e.looked_at)
