"""What `doctor` finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was looked at, whether it is all right, and what there is to say."""

    what: str
    ok: bool
    said: str
