"""The home page: ids of modals, buttons and blocks."""

from enum import StrEnum


class Action(StrEnum):
    """Buttons."""

    REFRESH = "home-refresh"
