"""Deciding on runs: ids of modals, buttons and blocks."""

from enum import StrEnum


class ApprovalCallback(StrEnum):
    """Modals."""

    REVIEW = "approval-review-form"
    DECLINE = "approval-decline-form"


class ApprovalAction(StrEnum):
    """Buttons. The value is in brackets."""

    REVIEW = "approval-review-open"
    """[run id]"""
    DECLINE = "approval-decline-open"
    """[run id]"""


class ApprovalBlock(StrEnum):
    """Inputs of the modals."""

    COMMENT = "approval-comment"
