"""The app's answer to one delivery, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TIMED_OUT = "operation_timeout"
UNREACHABLE = "dispatch_failed"


@dataclass
class Answer:
    """`error` is empty if the app acknowledged in time; `payload` is the payload of the acknowledgement."""

    payload: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    reason: str = ""  # for retries of events
