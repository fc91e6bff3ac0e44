"""Fault injection: which requests fail, how, and how often."""

from __future__ import annotations

import fnmatch
import itertools
import random
from dataclasses import dataclass, field
from typing import Any

RATE_LIMITED = "ratelimited"  # 429 with Retry-After
SERVER_ERROR = "server_error"  # 500, or `status`
NO_ANSWER = "no_answer"  # no effect, and no answer
LOST_ANSWER = "lost_answer"  # takes effect, but the answer is lost
REFUSED = "refused"  # method `socket`: no WebSocket is accepted
# What an app uses in addition to Web API methods. A fault strikes it only if the fault names it.
OTHER_ENDPOINTS = ("upload", "download", "response_url", "socket")

_numbers = itertools.count(1)


@dataclass
class Fault:
    """An active fault.

    `kind` is one of the constants above, or any error code of Slack (`channel_not_found`,
    `not_in_channel`, `is_archived`, `invalid_blocks`, `msg_too_long`, ...), answered with `ok: false`.
    `method` is a pattern such as `chat.*`; in addition to Web API methods there are `upload`,
    `download`, `response_url` and `socket`, only by their full names. `channel` and `text` limit it to requests to this
    channel and with this text. `count` limits how often it strikes, `probability` makes it random (with a seed).
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
        self._random = random.Random(self.seed)  # noqa: S311 - repeatable on purpose

    def strikes(self, method: str, args: dict[str, Any]) -> bool:
        """Whether it hits this request. Counts the hit."""
        if self.count is not None and self.struck >= self.count:
            return False
        if method in OTHER_ENDPOINTS and method != self.method:
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
        """Return the fields that the page shows."""
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
    """All active faults."""

    def __init__(self) -> None:
        self.active: list[Fault] = []

    def add(self, kind: str, method: str = "*", **options: Any) -> Fault:
        """Turn a fault on; the options are the fields of `Fault`."""
        fault = Fault(kind, method, **options)
        self.active.append(fault)
        return fault

    def remove(self, fault_id: int) -> None:
        """Turn a fault off."""
        self.active = [fault for fault in self.active if fault.id != fault_id]

    def clear(self) -> None:
        """Turn all faults off."""
        self.active.clear()

    def strike(self, method: str, args: dict[str, Any]) -> Fault | None:
        """Return the fault that hits this request, or None."""
        return next((fault for fault in self.active if fault.strikes(method, args)), None)
