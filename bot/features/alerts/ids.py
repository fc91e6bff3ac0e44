"""Alerts: ids of modals, buttons and blocks."""

from enum import StrEnum


class AlertAction(StrEnum):
    """Buttons. The value is in brackets."""

    TAKE = "alerts-take"
    """[alert id]"""
    MUTE = "alerts-mute"
    """[alert id]"""
