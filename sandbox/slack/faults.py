"""Faults by a switch: which requests fail, how, how often."""

from __future__ import annotations

import fnmatch
import itertools
import random
from dataclasses import dataclass, field
from typing import Any

RATE_LIMITED = "ratelimited"  # 429 with Retry-After
SERVER_ERROR = "server_error"  # 500, or `status`
NO_ANSWER = "no_answer"  # nothing is done and the line stays silent
LOST_ANSWER = "lost_answer"  # it is done, but the answer never arrives
REFUSED = "refused"  # method `socket`: no WebSocket is accepted
BESIDE = ("upload", "download", "response_url", "socket")  # no Web API methods: only struck by name

_numbers = itertools.count(1)


@dataclass
class Fault:
    """A switch that is on.

    `kind` is one of the constants above, or any error code of Slack (`channel_not_found`,
    `not_in_channel`, `is_archived`, `invalid_blocks`, `msg_too_long`, ...), answered with `ok: false`.
    `method` is a pattern such as `chat.*`; besides Web API methods there are, only by their full names,
    `upload`, `download`, `response_url` and `socket`. `channel` and `text` spare the requests that go elsewhere, or
    that don't say this. `count` limits how often it strikes, `probability` makes it a matter of (seeded) chance.
    """

    kind: str
    method: str = "*"
    count: int | None = None
    probability: float = 1.0
    seed: int = 0
    retry_after: int = 1
    status: int = 500
    channel: str | None = None
    text: str | None = None
    id: int = field(default_factory=lambda: next(_numbers))
    struck: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - chance that can be repeated is the point

    def strikes(self, method: str, args: dict[str, Any]) -> bool:
        """Whether it hits this request; counts if it does."""
        if self.count is not None and self.struck >= self.count:
            return False
        if method in BESIDE and method != self.method:
            return False
        if not fnmatch.fnmatch(method, self.method):
            return False
        if not self._concerns(args):
            return False
        if self.probability < 1 and self._random.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def _concerns(self, args: dict[str, Any]) -> bool:
        elsewhere = self.channel and args.get("channel", args.get("channel_id")) != self.channel
        return not elsewhere and (not self.text or self.text in repr(args))

    def as_json(self) -> dict[str, Any]:
        """What the page shows of it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "method": self.method,
            "count": self.count,
            "probability": self.probability,
            "retry_after": self.retry_after,
            "status": self.status,
            "channel": self.channel,
            "text": self.text,
            "struck": self.struck,
        }


class Faults:
    """All switches that are on."""

    def __init__(self) -> None:
        self.active: list[Fault] = []

    def add(self, kind: str, method: str = "*", **options: Any) -> Fault:
        """Turn a fault on; the options are the fields of `Fault`."""
        fault = Fault(kind, method, **options)
        self.active.append(fault)
        return fault

    def remove(self, fault_id: int) -> None:
        """Turn one off."""
        self.active = [one for one in self.active if one.id != fault_id]

    def clear(self) -> None:
        """Turn all off."""
        self.active.clear()

    def strike(self, method: str, args: dict[str, Any]) -> Fault | None:
        """The fault that hits this request, if any."""
        return next((one for one in self.active if one.strikes(method, args)), None)
