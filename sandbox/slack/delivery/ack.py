"""What the app answered to one delivery, or why it didn't."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TIMED_OUT = "operation_timeout"
UNREACHABLE = "dispatch_failed"


@dataclass
class Answer:
    """`error` is empty where the app acknowledged in time; `payload` is what it put beside that."""

    payload: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    reason: str = ""  # for retries of events
