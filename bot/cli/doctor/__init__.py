"""The checks of `iterable-sync doctor`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check: what was checked, whether it is all right, and details or a remedy.

    A note is all right, and a person should know it.
    """

    what: str
    ok: bool
    text: str
    is_note: bool = False
