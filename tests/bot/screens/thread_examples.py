"""Examples of the replies in the thread of a run."""

from typing import Any

from bot.features.approval import messages as approval
from bot.features.runs.thread_replies import replies_in
from bot.messages.desired import Thread
from core.models.run import CancelReason, RunStatus
from core.store.audit_log import AuditAction, AuditEntry
from tests.bot.screens.values import AMIR, AT, MAYA, Screen, view_of


def threads() -> dict[str, Screen]:
    """Return the examples by name."""
    declined: dict[str, Any] = {"cancel_reason": CancelReason.DECLINED, "decided_by": AMIR, "decided_at": AT}
    comment = {"comment": "Not before Monday"}
    return {
        "done": _reply(RunStatus.SUCCEEDED),
        "expired": _reply(RunStatus.EXPIRED),
        "approved": _reply(RunStatus.RUNNING, AuditAction.RUN_APPROVED, after={"comment": "Fits the spring plan"}),
        "declined": _reply(RunStatus.CANCELLED, AuditAction.RUN_DECLINED, after=comment, **declined),
        "declined in a quiet channel": _reply(
            RunStatus.CANCELLED, AuditAction.RUN_DECLINED, mentions=False, after=comment, **declined
        ),
        "cancelled by who started it": _reply(RunStatus.CANCELLED, AuditAction.RUN_CANCELLED, by=MAYA),
        "cancelled by another person": _reply(RunStatus.CANCELLED, AuditAction.RUN_CANCELLED),
    }


def _reply(
    status: RunStatus,
    action: AuditAction | None = None,
    *,
    by: str = AMIR,
    mentions: bool = True,
    after: dict[str, Any] | None = None,
    **run: Any,
) -> Screen:
    """Return the only reply about a run with this status, after an action."""
    entries = [] if action is None else [AuditEntry(1, AT, "T01FERNWAY", by, action, "run:abc", None, after)]
    thread = Thread("C01MARKETING", "1772442000.000100")
    replies = replies_in(view_of(status, **run), "C01MARKETING", entries, thread, approval, mentions=mentions)
    (reply,) = replies
    return reply.message
