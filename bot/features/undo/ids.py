"""Taking a run back: ids of modals, buttons and blocks."""

from enum import StrEnum


class Callback(StrEnum):
    """Modals."""

    UNDO = "undo-form"


class Action(StrEnum):
    """Buttons. The value is in brackets."""

    OPEN = "undo-form-open"
    """[run id]"""
