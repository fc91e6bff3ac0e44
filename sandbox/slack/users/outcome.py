"""The outcome of a person's action."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.slack.delivery.ack import TIMED_OUT
from sandbox.slack.workspace.models import Message


@dataclass
class Outcome:
    """`error` is empty if the app acknowledged in time; otherwise `shown` is what the person reads.

    `errors` are those at the inputs of a modal, `payload` is the payload of the acknowledgement, and `message` is the
    resulting message. `sent` is False if nothing reached the app, because the client itself rejected the action (a
    required input, a declined confirmation).
    """

    error: str = ""
    shown: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    payload: dict[str, Any] = field(default_factory=dict)
    message: Message | None = None
    sent: bool = True

    @property
    def ok(self) -> bool:
        """Whether the app accepted it."""
        return self.sent and not self.error and not self.errors


def trouble(error: str) -> str:
    """Return what a person reads if the app did not answer."""
    if error == TIMED_OUT:
        return "The app didn’t answer within 3 seconds. It may still be at work; if nothing happens, try again."
    return "The app can't be reached right now. Try again in a moment."
