"""Mapping an audience to a list: ids of modals, buttons and blocks."""

from enum import StrEnum


class MappingCallback(StrEnum):
    """Modals."""

    MAP = "mapping-form"
    REVIEW = "mapping-review-form"


class MappingAction(StrEnum):
    """Buttons and menus. The value is in brackets."""

    OPEN = "mapping-form-open"
    """[connection id, or nothing]"""
    CONNECTION = "mapping-connection-pick"
    LIST = "mapping-list-pick"
    REVIEW = "mapping-review-open"
    """[mapping id]"""
    DECLINE = "mapping-decline"
    """[mapping id]"""
    PAUSE = "mapping-pause"
    """[mapping id]"""
    RESUME = "mapping-resume"
    """[mapping id]"""


class MappingBlock(StrEnum):
    """Inputs."""

    CONNECTION = "mapping-connection"
    AUDIENCE = "mapping-audience"
    FILE = "mapping-file"
    LIST = "mapping-list"
    """The connection's id follows: a list that was chosen for another one is forgotten."""
    MODE = "mapping-mode"
    REMOVALS = "mapping-removals"
    CHANNEL = "mapping-channel"
    COMMENT = "mapping-comment"

    def of(self, connection_id: int) -> str:
        """The block of a connection."""
        return f"{self.value}-{connection_id}"
