"""Live audiences: ids of buttons."""

from enum import StrEnum


class LiveAudienceAction(StrEnum):
    """Buttons. The value is the mapping's id."""

    DROP = "audiences-waiting-drop"
    REMOVALS = "audiences-removals-approve"
    KEEP = "audiences-members-keep"
    REMOVE = "audiences-members-remove"
