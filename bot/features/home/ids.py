"""The home page: ids of modals, buttons and blocks."""

from enum import StrEnum


class HomeAction(StrEnum):
    """Buttons."""

    REFRESH = "home-refresh"
