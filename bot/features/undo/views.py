"""The modal and the messages of an undo."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slack_sdk.models.blocks import Block

from bot.features.ids import UndoAction, UndoCallback
from bot.ui.blocks import Message, button, context, fields, header, modal, notice, section, text_message
from bot.ui.formatting import channel_or_dm, cut, escape, moment, number, person, plural
from bot.ui.modal_state import Metadata
from core.models.run import Run, RunCounters, RunStatus

# The longest name in a sentence.
_NAME_MAX = 80


class UndoMetadata(Metadata):
    """The run that the modal is about."""

    run_id: str


@dataclass(frozen=True, slots=True)
class UndoCandidate:
    """A run with the names of its audience and its list."""

    run: Run
    audience: str
    list_name: str

    @property
    def label(self) -> str:
        """Audience and list (mrkdwn)."""
        return f"*{escape(cut(self.audience, _NAME_MAX))}* → *{escape(cut(self.list_name, _NAME_MAX))}*"


def undo_modal(candidate: UndoCandidate) -> dict[str, Any]:
    """Return the modal: what a run did, and what an undo means."""
    run, counters = candidate.run, candidate.run.counters
    done = (("Added", counters.added), ("Updated", counters.updated), ("Removed", counters.removed))
    blocks: list[Block] = [
        section(f"Run `{run.id}`: {candidate.label} (list {run.list_id})"),
        *fields(
            [
                *[(name, number(count)) for name, count in done if count],
                ("Ended", moment(run.finished_at or run.created_at)),
                ("Started by", _starter(run)),
                *([("Approved by", person(run.decided_by))] if run.decided_by else []),
            ]
        ),
        header("What undo will do"),
        section("\n".join(f"• {each}" for each in _meanings(run))),
        header("Keep in mind"),
        section("\n".join(f"• {each}" for each in _warnings(candidate))),
        context("*Preview* shows what would change. Nothing is sent until an approver approves it."),
    ]
    return modal(
        "Undo a sync",
        blocks,
        callback=UndoCallback.UNDO,
        submit="Preview",
        close="Cancel",
        metadata=UndoMetadata(run_id=run.id),
    )


def working(metadata: UndoMetadata) -> dict[str, Any]:
    """Return the modal that is shown while the preview is being queued."""
    return notice("Undo a sync", f"Preparing the undo of run `{metadata.run_id}`…")


def queued_modal(run_id: str, undone: str, channel: str | None) -> dict[str, Any]:
    """Return the modal after the preview was queued."""
    place = channel_or_dm(channel)
    return notice(
        "Preparing undo",
        f"Run `{run_id}` prepares the undo of run `{undone}`. Its card appears {place}. Nothing is sent until an "
        "approver approves it.",
    )


def _starter(run: Run) -> str:
    return "mParticle" if run.is_live else person(run.started_by)


def choices(candidates: Sequence[UndoCandidate]) -> Message:
    """Return the latest runs that can be undone, with a button each."""
    if not candidates:
        text = "There is no run that can be undone: none changed a list lately, or they all were undone."
        return text_message(text)
    text = f"Which run? Here are the latest that can be undone ({plural(len(candidates), 'run')})."
    rows = [
        section(
            f"{each.label}: {_did(each.run.counters)}\n`{each.run.id}`, "
            f"{moment(each.run.finished_at or each.run.created_at)}, by {_starter(each.run)}",
            accessory=button("Undo…", UndoAction.OPEN, each.run.id, label=f"Undo run {each.run.id} of {each.audience}"),
        )
        for each in candidates
    ]
    return Message(text, [section(text), *rows, context("Another one: `/iterable-sync undo <run>`")])


def _did(counters: RunCounters) -> str:
    numbers = (("added", counters.added), ("updated", counters.updated), ("removed", counters.removed))
    return ", ".join(f"{value:,} {name}" for name, value in numbers if value) or "nothing counted"


def _meanings(run: Run) -> list[str]:
    counters = run.counters
    lines = []
    if counters.added:
        lines.append(f"{plural(counters.added, 'person', 'people')} that it added are removed from the list.")
    if counters.removed:
        lines.append(f"{plural(counters.removed, 'person', 'people')} that it removed are added back.")
    if counters.updated:
        lines.append(f"{plural(counters.updated, 'person', 'people')} whose identity it updated get the previous one.")
    if run.merged:
        lines.append(f"{plural(run.merged, 'profile')} that it merged: merged for good. Iterable can't separate them.")
    if run.status is not RunStatus.SUCCEEDED:
        lines.append("It did not finish, and it can't be resumed after an undo. Answers that were lost count as done.")
    lines.append("People changed by another sync since are left alone.")
    return lines


def _warnings(candidate: UndoCandidate) -> list[str]:
    counters = candidate.run.counters
    lines = []
    if counters.added or counters.updated:
        lines.append(
            "People who joined the list may be in journeys already. Removing them does not stop a journey or recall "
            "messages, and may trigger journeys for people who leave a list."
        )
    if counters.removed or counters.updated:
        lines.append("Re-added people may enter journeys again.")
    lines.append(
        "The next sync of the same audience makes the same changes. Correct the audience first, or pause the mapping "
        f"after the undo: `/iterable-sync pause {escape(candidate.audience)}`"
    )
    return lines
