"""Connecting an Iterable project: ids of modals, buttons and blocks."""

from enum import StrEnum


class ConnectCallback(StrEnum):
    """Modals."""

    CONNECT = "connect-form"
    EDIT = "connect-edit-form"
    KEY = "connect-key-form"


class ConnectAction(StrEnum):
    """Buttons. The value is in brackets."""

    OPEN = "connect-form-open"
    """[nothing]"""
    EDIT = "connect-form-edit"
    """[connection id]"""
    KEY = "connect-key-open"
    """[connection id]"""
    AGAIN = "connect-form-again"
    """[nothing: the modal remembers]"""
    KEY_AGAIN = "connect-key-again"
    """[connection id]"""


class ConnectBlock(StrEnum):
    """Inputs."""

    NAME = "connect-name"
    KEY = "connect-key"
    DATA_CENTER = "connect-data-center"
    USER_ID = "connect-user-id"
    RATE = "connect-rate"
    CHANNEL = "connect-channel"
    OPERATORS = "connect-operators"
    APPROVERS = "connect-approvers"
    SELF_APPROVAL = "connect-self-approval"
