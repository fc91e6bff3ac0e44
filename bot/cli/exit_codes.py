"""How the command ends, for whoever started it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes. They are part of the command's contract."""

    OK = 0
    FAILED = 1
    BAD_INPUT = 2
    """Wrong usage or bad input, and nothing was sent."""
    NEEDS_APPROVAL = 3
    INTERRUPTED = 130
