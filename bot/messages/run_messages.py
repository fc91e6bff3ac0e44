"""What is to be seen of a run: its message, its thread, and what its person gets instead."""

from collections.abc import Callable, Mapping, Sequence

from bot.features.approval.views import ask, card, reminder
from bot.features.runs.progress_messages import progress, waiting
from bot.features.runs.result_messages import result_message
from bot.features.runs.run_view import RunView, comment
from bot.messages import fallback
from bot.messages.desired import DesiredMessage, MessageKind, Thread, thread_of
from bot.ui.blocks import Message, section
from bot.ui.formatting import person
from core.models.run import Run, RunStatus
from core.store.audit_log import AuditAction, AuditEntry
from core.store.slack_messages import MessageStatus, SlackMessage

_STAGES = {
    RunStatus.QUEUED: MessageKind.PLANNING,
    RunStatus.PLANNING: MessageKind.PLANNING,
    RunStatus.NEEDS_APPROVAL: MessageKind.CARD,
    RunStatus.RUNNING: MessageKind.PROGRESS,
}
_VIEWS: Mapping[MessageKind, Callable[[RunView], Message]] = {
    MessageKind.PLANNING: waiting,
    MessageKind.CARD: card,
    MessageKind.PROGRESS: progress,
    MessageKind.FINAL: result_message,
}


def key_of(run_id: str) -> str:
    """The key of a run's message."""
    return f"run:{run_id}"


def direct(key: str) -> str:
    """The key of what a person gets in the place of a message, or beside it."""
    return f"{key}:dm"


def keys_of(run: Run, entries: Sequence[AuditEntry]) -> list[str]:
    """The keys of all that may be seen of a run."""
    key = key_of(run.id)
    return [key, direct(key), f"{key}:ask", *(f"audit:{entry.id}" for entry in entries)]


def message_kind(run: Run) -> MessageKind:
    """What kind of content a run's message shows now."""
    if run.status is RunStatus.INTERRUPTED:
        return MessageKind.PLANNING if run.plan is None else MessageKind.PROGRESS
    return _STAGES.get(run.status, MessageKind.FINAL)


def desired_messages(
    story: RunView, target: str, entries: Sequence[AuditEntry], posts: Mapping[str, SlackMessage]
) -> list[DesiredMessage]:
    """What is to be seen of a run now."""
    run, team = story.run, story.connection.team_id
    key, stage = key_of(run.id), message_kind(run)
    message = _VIEWS[stage](story)
    is_urgent = stage in (MessageKind.CARD, MessageKind.FINAL)
    main = DesiredMessage(key, team, target, stage, message, is_urgent)
    found = [main]
    post, instead = posts.get(key), posts.get(direct(key))
    is_lacking = fallback.needs_fallback(post, _of(post, stage))
    # what it says of the place is true only when that has been tried
    is_there = post is not None and post.state is MessageStatus.POSTED and post.stage == _of(post, stage)
    if run.started_by not in (None, target) and (is_lacking or (instead is not None and is_there)):
        told = fallback.with_fallback_note(message, post)
        found.append(DesiredMessage(direct(key), team, run.started_by or target, stage, told, is_urgent))
    thread = thread_of(post) or thread_of(instead)
    if thread is not None:
        found += _replies(story, target, entries, thread)
    return found


def _of(post: SlackMessage | None, stage: MessageKind) -> str:
    """The stage as the post has it."""
    is_done = post is not None and post.stage == MessageKind.DONE and stage is MessageKind.FINAL
    return MessageKind.DONE if is_done else stage


def _replies(story: RunView, target: str, entries: Sequence[AuditEntry], thread: Thread) -> list[DesiredMessage]:
    run, team = story.run, story.connection.team_id
    found = []
    if run.status is RunStatus.NEEDS_APPROVAL:
        found.append(
            DesiredMessage(f"{key_of(run.id)}:ask", team, target, MessageKind.REPLY, ask(story), thread=thread)
        )
    return found + [
        DesiredMessage(f"audit:{entry.id}", team, target, MessageKind.REPLY, said, thread=thread)
        for entry in entries
        if (said := _said(story, entry)) is not None
    ]


def _said(story: RunView, entry: AuditEntry) -> Message | None:
    """What is said in the thread of something that a person did; None where nothing is."""
    if entry.action is AuditAction.RUN_REMINDED:
        return reminder(story) if story.run.status is RunStatus.NEEDS_APPROVAL else None
    words = {
        AuditAction.RUN_APPROVED: "approved this sync",
        AuditAction.RUN_DECLINED: "declined this sync",
        AuditAction.RUN_CANCELLED: "asked to cancel this sync",
        AuditAction.RUN_RETRIED: "let this sync go on",
        AuditAction.RUN_UNDO_ASKED: "asked to undo this sync",
    }.get(entry.action)
    if words is None:
        return None
    said = (entry.after or {}).get("comment")
    text = f"{person(entry.actor)} {words}{f': “{comment(said)}”' if said else '.'}"
    return Message(text, [section(text)])
