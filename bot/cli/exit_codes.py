"""The exit codes of the command line."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes. They are part of the command line's contract."""

    OK = 0
    FAILED = 1
    BAD_INPUT = 2
    """Wrong usage or bad input; nothing was sent."""
    NEEDS_APPROVAL = 3
    CHANGES = 4
    """`config plan` found changes."""
    INTERRUPTED = 130
