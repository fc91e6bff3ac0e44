"""Runs: started, followed, repeated: ids of modals, buttons and blocks."""

from enum import StrEnum


class RunCallback(StrEnum):
    """Modals."""

    START = "runs-start-form"


class Shortcut(StrEnum):
    """Shortcuts."""

    SYNC = "sync-to-iterable"


class RunAction(StrEnum):
    """Buttons and menus. The value is in brackets."""

    START = "runs-start-open"
    """[mapping id, or nothing]"""
    MAPPING = "runs-mapping-pick"
    CANCEL = "runs-cancel"
    """[run id]"""
    AGAIN = "runs-again"
    """[run id]"""
    RETRY = "runs-retry"
    """[run id]"""
    RETRY_REJECTED = "runs-retry-rejected"
    """[run id]"""
    REJECTED = "runs-rejected-send"
    """[run id]"""


class RunBlock(StrEnum):
    """Inputs."""

    MAPPING = "runs-mapping"
    FILE = "runs-file"
    LINK = "runs-link"
    ADDRESS = "runs-address"
    ATTACHED = "runs-attached"
    MODE = "runs-mode"
