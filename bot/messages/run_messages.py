"""What is to be seen of a run: its message, its thread, and what its person gets instead."""

from collections.abc import Callable, Mapping, Sequence

from bot.features.approval.views import ask, card, reminder
from bot.features.runs.progress_messages import progress, waiting
from bot.features.runs.result_messages import ending
from bot.features.runs.run_view import Story, comment
from bot.messages import fallback
from bot.messages.desired import Stage, Thread, Wish, thread_of
from bot.ui.blocks import Message, section
from bot.ui.formatting import person
from core.models.run import Run, Status
from core.store.audit_log import Action, Entry
from core.store.slack_messages import Post, State

_STAGES = {
    Status.QUEUED: Stage.PLANNING,
    Status.PLANNING: Stage.PLANNING,
    Status.NEEDS_APPROVAL: Stage.CARD,
    Status.RUNNING: Stage.PROGRESS,
}
_VIEWS: Mapping[Stage, Callable[[Story], Message]] = {
    Stage.PLANNING: waiting,
    Stage.CARD: card,
    Stage.PROGRESS: progress,
    Stage.FINAL: ending,
}


def key_of(run_id: str) -> str:
    """The key of a run's message."""
    return f"run:{run_id}"


def direct(key: str) -> str:
    """The key of what a person gets in the place of a message, or beside it."""
    return f"{key}:dm"


def keys_of(run: Run, entries: Sequence[Entry]) -> list[str]:
    """The keys of all that may be seen of a run."""
    key = key_of(run.id)
    return [key, direct(key), f"{key}:ask", *(f"audit:{entry.id}" for entry in entries)]


def stage_of(run: Run) -> Stage:
    """What kind of content a run's message shows now."""
    if run.status is Status.INTERRUPTED:
        return Stage.PLANNING if run.plan is None else Stage.PROGRESS
    return _STAGES.get(run.status, Stage.FINAL)


def wishes(story: Story, target: str, entries: Sequence[Entry], posts: Mapping[str, Post]) -> list[Wish]:
    """What is to be seen of a run now."""
    run, team = story.run, story.connection.team_id
    key, stage = key_of(run.id), stage_of(run)
    message = _VIEWS[stage](story)
    is_urgent = stage in (Stage.CARD, Stage.FINAL)
    main = Wish(key, team, target, stage, message, is_urgent)
    found = [main]
    post, instead = posts.get(key), posts.get(direct(key))
    is_lacking = fallback.is_due(post, _of(post, stage))
    # what it says of the place is true only when that has been tried
    is_there = post is not None and post.state is State.POSTED and post.stage == _of(post, stage)
    if run.started_by not in (None, target) and (is_lacking or (instead is not None and is_there)):
        told = fallback.explained(message, post)
        found.append(Wish(direct(key), team, run.started_by or target, stage, told, is_urgent))
    thread = thread_of(post) or thread_of(instead)
    if thread is not None:
        found += _replies(story, target, entries, thread)
    return found


def _of(post: Post | None, stage: Stage) -> str:
    """The stage as the post has it."""
    is_done = post is not None and post.stage == Stage.DONE and stage is Stage.FINAL
    return Stage.DONE if is_done else stage


def _replies(story: Story, target: str, entries: Sequence[Entry], thread: Thread) -> list[Wish]:
    run, team = story.run, story.connection.team_id
    found = []
    if run.status is Status.NEEDS_APPROVAL:
        found.append(Wish(f"{key_of(run.id)}:ask", team, target, Stage.REPLY, ask(story), thread=thread))
    return found + [
        Wish(f"audit:{entry.id}", team, target, Stage.REPLY, said, thread=thread)
        for entry in entries
        if (said := _said(story, entry)) is not None
    ]


def _said(story: Story, entry: Entry) -> Message | None:
    """What is said in the thread of something that a person did; None where nothing is."""
    if entry.action is Action.RUN_REMINDED:
        return reminder(story) if story.run.status is Status.NEEDS_APPROVAL else None
    words = {
        Action.RUN_APPROVED: "approved this sync",
        Action.RUN_DECLINED: "declined this sync",
        Action.RUN_CANCELLED: "asked to cancel this sync",
        Action.RUN_RETRIED: "let this sync go on",
        Action.RUN_UNDO_ASKED: "asked to undo this sync",
    }.get(entry.action)
    if words is None:
        return None
    said = (entry.after or {}).get("comment")
    text = f"{person(entry.actor)} {words}{f': “{comment(said)}”' if said else '.'}"
    return Message(text, [section(text)])
