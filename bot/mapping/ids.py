"""Mapping an audience to a list: ids of modals, buttons and blocks."""

from enum import StrEnum


class Callback(StrEnum):
    """Modals."""

    MAP = "mapping-form"
    REVIEW = "mapping-review-form"


class Action(StrEnum):
    """Buttons and menus. The value is in brackets."""

    OPEN = "mapping-form-open"
    """[connection id, or nothing]"""
    LIST = "mapping-list-pick"
    REVIEW = "mapping-review-open"
    """[mapping id]"""
    PAUSE = "mapping-pause"
    """[mapping id]"""
    RESUME = "mapping-resume"
    """[mapping id]"""
