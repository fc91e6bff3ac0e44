"""What came of something that a person did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.slack.delivery.ack import TIMED_OUT
from sandbox.slack.workspace.models import Message


@dataclass
class Outcome:
    """`error` is empty where the app acknowledged in time; `shown` is what the person reads otherwise.

    `errors` are those beside the inputs of a modal, `payload` is what the app put into its
    acknowledgement, `message` is the message that came of it. `sent` is false where nothing reached the
    app, because the screen itself refused (a required input, a declined confirmation).
    """

    error: str = ""
    shown: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    payload: dict[str, Any] = field(default_factory=dict)
    message: Message | None = None
    sent: bool = True

    @property
    def ok(self) -> bool:
        """Whether the app took it."""
        return self.sent and not self.error and not self.errors


def trouble(error: str) -> str:
    """What a person reads when the app did not answer."""
    if error == TIMED_OUT:
        return "The app didn’t answer within 3 seconds. It may still be at work; if nothing happens, try again."
    return "The app can't be reached right now. Try again in a moment."
