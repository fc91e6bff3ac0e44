"""Taking a run back: ids of modals, buttons and blocks."""

from enum import StrEnum


class UndoCallback(StrEnum):
    """Modals."""

    UNDO = "undo-form"


class UndoAction(StrEnum):
    """Buttons. The value is in brackets."""

    OPEN = "undo-form-open"
    """[run id]"""
