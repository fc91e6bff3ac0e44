"""The replies in the thread of a run: questions to approvers, what people did, and the end of the run."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from bot.features.runs.result_messages import finished
from bot.features.runs.run_view import RunView, comment
from bot.messages.desired import DesiredMessage, MessageKind, Thread
from bot.ui.blocks import Message, text_message
from bot.ui.formatting import person, slack_user
from core.models.run import RunStatus
from core.store.audit_log import PROGRAM, AuditAction, AuditEntry

RUN_KEY = "run:"

_ACTIONS = {
    AuditAction.RUN_APPROVED: "approved this sync",
    AuditAction.RUN_DECLINED: "declined this sync",
    AuditAction.RUN_CANCELLED: "cancelled this sync",
    AuditAction.RUN_RETRIED: "retried this sync",
    AuditAction.RETRY_STOPPED: "stopped the automatic retries of this sync",
    AuditAction.RUN_UNDO_ASKED: "asked to undo this sync",
}
# After these the run has ended, though not as whoever started it has expected.
_ENDS = (AuditAction.RUN_DECLINED, AuditAction.RUN_CANCELLED)


class ApprovalMessages(Protocol):
    """Builds the messages of a run that waits for approval. The approval feature implements it."""

    def card(self, view: RunView, /) -> Message:
        """The run's message while it waits."""

    def card_of_several(self, group: Sequence[RunView], /) -> Message:
        """The one message of several runs while they wait for one decision."""

    def ask(self, view: RunView, /) -> Message:
        """The reply that mentions the approvers."""

    def changed(self, view: RunView, /) -> Message:
        """The reply that mentions them again, because the plan changed."""

    def reminder(self, view: RunView, /) -> Message:
        """The reply that reminds them."""


def key_of(run_id: str) -> str:
    """Return the key of a run's main message."""
    return f"{RUN_KEY}{run_id}"


def question_key(key: str) -> str:
    """Return the key of the reply that mentions the approvers."""
    return f"{key}:ask"


def finished_key(key: str) -> str:
    """Return the key of the reply that mentions who asked for the run when it has ended."""
    return f"{key}:finished"


def replies_in(
    view: RunView,
    target: str,
    entries: Iterable[AuditEntry],
    thread: Thread,
    approval: ApprovalMessages,
    *,
    mentions: bool,
) -> list[DesiredMessage]:
    """Return the replies. With `mentions`, they mention who started the run when it ends."""
    contents: dict[str, Message | None] = {
        f"audit:{entry.id}": _reply(view, entry, approval, mentions=mentions) for entry in entries
    }
    if view.run.status is RunStatus.NEEDS_APPROVAL:
        contents = {question_key(key_of(view.run.id)): approval.ask(view), **contents}
    if mentions:
        contents[finished_key(key_of(view.run.id))] = finished(view)
    return [
        DesiredMessage(key, view.connection.team_id, target, MessageKind.REPLY, content, thread=thread)
        for key, content in contents.items()
        if content is not None
    ]


def _reply(view: RunView, entry: AuditEntry, approval: ApprovalMessages, *, mentions: bool) -> Message | None:
    """Return the reply that reports an audit entry; None for entries that are not reported.

    With `mentions`, it mentions who started the run if another person ended it.
    """
    if entry.action is AuditAction.RUN_REMINDED:
        return approval.reminder(view) if view.run.status is RunStatus.NEEDS_APPROVAL else None
    if entry.action is AuditAction.RUN_PLAN_CHANGED:
        return approval.changed(view) if view.run.status is RunStatus.NEEDS_APPROVAL else None
    action = _ACTIONS.get(entry.action)
    if action is None or (entry.action is AuditAction.RUN_RETRIED and entry.actor == PROGRAM):
        return None
    remark = (entry.after or {}).get("comment")
    text = f"{person(entry.actor)} {action}{f': “{comment(remark)}”' if remark else '.'}"
    starter = slack_user(view.run.started_by)
    is_mentioned = mentions and entry.action in _ENDS and starter not in (None, entry.actor)
    return text_message(f"{person(starter)}, {text}" if is_mentioned else text)


def cancelled_by(entries: Sequence[AuditEntry]) -> str | None:
    """Return who cancelled a run, by its audit entries."""
    return next((each.actor for each in reversed(entries) if each.action is AuditAction.RUN_CANCELLED), None)
