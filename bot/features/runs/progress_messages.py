"""The message of a run in progress: waiting, planning, uploading."""

from slack_sdk.models.blocks import Block, ButtonElement

from bot.features.ids import RunAction
from bot.features.runs.run_view import RunView, origin
from bot.ui.blocks import Message, actions, button, confirmation, context, section
from bot.ui.formatting import bar, changes, downloaded, estimate, number, plural
from bot.ui.list_words import freeze_words
from core.models.run import Run, RunStatus, StopReason
from core.reporting.progress import Progress

#: The status of a run that uploads.
SYNCING = "Syncing"


def waiting(view: RunView) -> Message:
    """Return the message of a run that is queued or being planned."""
    phase, bar_line = phase_words(view.run), ""
    if view.download is not None and view.run.stop_requested is None:
        phase = f"Downloading the audience, {downloaded(view.download)}"
        if view.download.total:
            percent = 100 * view.download.done // view.download.total
            bar_line = f"\n{bar(view.download.done, view.download.total)} {percent} %"
    text = (
        f":hourglass_flowing_sand: *{view.what}*\n{_freeze(view) or f'{phase}.'} Nothing has been sent yet.{bar_line}"
    )
    return _with_cancel(view, f"{view.what}: {phase[0].lower()}{phase[1:]}.", text)


def progress(view: RunView) -> Message:
    """Return the message of a run that uploads."""
    phase, current = phase_words(view.run), view.progress
    if phase == SYNCING:
        lines, summary = [f":hourglass_flowing_sand: *{SYNCING} {view.what}*"], f"{SYNCING} {view.what}"
    else:
        lines = [f":hourglass_flowing_sand: *{view.what}*", _freeze(view) or f"{phase}."]
        summary = f"{view.what}: {phase[0].lower()}{phase[1:]}"
    if view.run.is_frozen and current is not None and not current.done:
        return _with_cancel(view, f"{summary}.", "\n".join([*lines, _waiting_changes(current)]))
    if current is not None and current.total:
        percent = 100 * current.done // current.total
        lines.append(f"{bar(current.done, current.total)} {percent} %")
        lines.append(f"{number(current.done)} of {plural(current.total, 'change')}{_pace(view)}")
        summary = f"{summary}, {percent} %"
    done = view.run.counters
    if so_far := changes(added=done.added, updated=done.updated, removed=done.removed, rejected=done.rejected):
        lines.append(so_far)
    return _with_cancel(view, f"{summary}.", "\n".join(lines))


def phase_words(run: Run) -> str:
    """Return what a run is doing, in a few words."""
    if run.stop_requested is StopReason.CANCEL:
        return "Cancelling; requests that are already sent are finished first"
    if run.status is RunStatus.INTERRUPTED:
        return "Interrupted; it resumes when the program runs again"
    if run.is_frozen or run.is_waiting:
        other = f"run {run.waiting_for_run_id} of the same list has ended"
        return f"Waiting until {'the mapping is no longer frozen' if run.is_frozen else other}"
    if run.status is RunStatus.PLANNING:
        return "Preparing preview"
    if run.status is RunStatus.RUNNING:
        return SYNCING
    return "Queued"


def _freeze(view: RunView) -> str:
    if view.freeze is None or not view.run.is_frozen:
        return ""
    return f":double_vertical_bar: {freeze_words(view.freeze)}. The sync then continues automatically."


def _waiting_changes(progress: Progress) -> str:
    waiting = plural(progress.total, "change waits", "changes wait")
    return f"{waiting}. Nothing has been sent yet."


def _pace(view: RunView) -> str:
    current = view.progress
    if current is None or current.rate is None or current.seconds_left is None or current.done >= current.total:
        return ""
    pace = f" · {number(round(current.rate))} a second" if current.rate >= 1 else ""
    return f"{pace} · {estimate(current.seconds_left)} left"


def _with_cancel(view: RunView, text: str, body: str) -> Message:
    blocks: list[Block] = [section(body), context(*origin(view))]
    if view.run.stop_requested is None:
        blocks.append(actions(cancel_button(view)))
    return Message(text, blocks)


def cancel_button(view: RunView) -> ButtonElement:
    """Return the button *Cancel*, which asks for confirmation."""
    ask = confirmation(
        "Cancel this sync?",
        "Changes already made stay. The rest is not synced.",
        "Cancel sync",
        "Keep syncing",
    )
    return button(
        "Cancel",
        RunAction.CANCEL,
        view.run.id,
        style="danger",
        confirm=ask,
        label=f"Cancel the sync of {view.run.audience or 'the audience'}",
    )
