"""Slack's rate limits: requests per minute, for each method and workspace."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from typing import Any

MINUTE = 60.0
TIER_2, TIER_3, TIER_4 = 20, 50, 100
TIERS = {
    "chat.update": TIER_3,
    "chat.delete": TIER_3,
    "conversations.open": TIER_3,
    "conversations.info": TIER_3,
    "apps.connections.open": TIER_3,
    "conversations.list": TIER_2,
    "users.list": TIER_2,
    "users.lookupByEmail": TIER_3,
    "usergroups.list": TIER_2,
    "usergroups.users.list": TIER_2,
}
POSTS_A_MINUTE = 300
CHANNEL_SECONDS = 1.0
CHANNEL_BURST = 3


class Rates:
    """Counts requests over a sliding window; does nothing while `enforced` is off."""

    def __init__(self, enforced: bool) -> None:
        self.enforced = enforced
        self._seen: dict[tuple[str, ...], deque[float]] = defaultdict(deque)

    def retry_after(self, method: str, team_id: str, args: dict[str, Any], now: float) -> int | None:
        """Count a request. Returns the seconds to wait if it exceeds the limit, else None."""
        if not self.enforced:
            return None
        if method == "chat.postMessage":
            windows = [
                (("post", team_id, str(args.get("channel"))), CHANNEL_BURST, CHANNEL_BURST * CHANNEL_SECONDS),
                (("post", team_id), POSTS_A_MINUTE, MINUTE),
            ]
        else:
            windows = [((method, team_id), TIERS.get(method, TIER_4), MINUTE)]
        for key, most, seconds in windows:
            seen = self._seen[key]
            while seen and seen[0] <= now - seconds:
                seen.popleft()
            if len(seen) >= most:
                return max(1, math.ceil(seen[0] + seconds - now))
        for key, _, _ in windows:
            self._seen[key].append(now)
        return None
