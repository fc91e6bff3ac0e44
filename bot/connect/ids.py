"""Connecting an Iterable project: ids of modals, buttons and blocks."""

from enum import StrEnum


class Callback(StrEnum):
    """Modals."""

    CONNECT = "connect-form"
    KEY = "connect-key-form"


class Action(StrEnum):
    """Buttons. The value is in brackets."""

    OPEN = "connect-form-open"
    """[nothing]"""
    EDIT = "connect-form-edit"
    """[connection id]"""
    KEY = "connect-key-open"
    """[connection id]"""
