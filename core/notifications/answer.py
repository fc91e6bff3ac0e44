"""The answer of a receiver to a delivery."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a receiver has taken a delivery, with its status code (HTTP or SMTP; None: it did not answer).

    `error` says why not, in a few words without anything that the receiver has written. `is_final`: another attempt
    does not help.
    """

    is_taken: bool
    status_code: int | None = None
    error: str | None = None
    is_final: bool = False


class DeliverySkippedError(Exception):
    """The delivery is not for this kind of route, and nothing was sent."""
