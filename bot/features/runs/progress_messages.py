"""The message of a run in progress: waiting, planning, uploading."""

from slack_sdk.models.blocks import Block, ButtonElement

from bot.features.ids import RunAction
from bot.features.runs.run_view import RunView, done_words, origin
from bot.ui.blocks import Message, actions, button, confirmation, context, section
from bot.ui.formatting import bar, downloaded, duration, number, plural
from bot.ui.list_words import freeze_words
from core.models.run import Run, RunPhase, RunStatus, StopReason
from core.reporting.progress import Progress


def waiting(view: RunView) -> Message:
    """Return the message of a run that is queued or being planned."""
    phase, lines = phase_words(view.run), ""
    if view.download is not None and view.run.stop_requested is None:
        phase = f"Downloading the audience, {downloaded(view.download)}"
        if view.download.total:
            percent = 100 * view.download.done // view.download.total
            lines = f"\n{bar(view.download.done, view.download.total)} {percent} %"
    text = f"*Sync of {view.what}*\n{_freeze(view) or f'{phase}.'} Nothing has been sent yet.{lines}"
    return _with_cancel(view, f"Sync of {view.what}: {phase[0].lower()}{phase[1:]}.", text)


def progress(view: RunView) -> Message:
    """Return the message of a run that uploads."""
    phase, current = phase_words(view.run), view.progress
    lines = [f"*Sync of {view.what}*", _freeze(view) or f"{phase}."]
    summary = phase
    if view.run.is_frozen and current is not None and not current.done:
        return _with_cancel(view, f"Sync of {view.what}: {summary}.", "\n".join([*lines, _waiting_changes(current)]))
    if current is not None and current.total:
        percent = 100 * current.done // current.total
        lines.append(f"{bar(current.done, current.total)} {percent} %")
        lines.append(f"{number(current.done)} of {plural(current.total, 'change')} made{_pace(view)}")
        summary = f"{phase}, {percent} %"
    if view.run.plan is not None:
        lines.append(f"So far: {done_words(view)}, {number(view.run.counters.rejected)} rejected.")
    return _with_cancel(view, f"Sync of {view.what}: {summary}.", "\n".join(lines))


def phase_words(run: Run) -> str:
    """Return what a run is doing, in a few words."""
    if run.stop_requested is StopReason.CANCEL:
        return "Cancelling, as soon as what is under way has ended"
    if run.status is RunStatus.INTERRUPTED:
        return "Interrupted; it resumes by itself as soon as the program runs again"
    if run.is_frozen or run.is_waiting:
        other = f"run {run.waiting_for_run_id} of the same list has ended"
        return f"Waiting until {'the mapping is no longer frozen' if run.is_frozen else other}"
    if run.status is RunStatus.PLANNING:
        return "Reading the audience and comparing it with the list"
    if run.status is RunStatus.RUNNING:
        return "Uploading" if run.phase is RunPhase.UPLOADING else "About to upload"
    return "Waiting to start"


def _freeze(view: RunView) -> str:
    if view.freeze is None or not view.run.is_frozen:
        return ""
    return f":double_vertical_bar: {freeze_words(view.freeze)}. The sync continues by itself."


def _waiting_changes(progress: Progress) -> str:
    waiting = plural(progress.total, "change waits", "changes wait")
    return f"{waiting}. Nothing has been sent yet."


def _pace(view: RunView) -> str:
    current = view.progress
    if current is None or current.rate is None or current.seconds_left is None:
        return ""
    left = f", about {duration(current.seconds_left)} left" if current.done < current.total else ""
    return f", {number(round(current.rate))} a second{left}" if current.rate >= 1 else left


def _with_cancel(view: RunView, text: str, body: str) -> Message:
    blocks: list[Block] = [section(body), context(*origin(view))]
    if view.run.stop_requested is None:
        blocks.append(actions(cancel_button(view)))
    return Message(text, blocks)


def cancel_button(view: RunView) -> ButtonElement:
    """Return the button *Cancel*, which asks for confirmation."""
    ask = confirmation(
        "Cancel this sync?",
        "What was done until then stays as it is. What is left is not done.",
        "Cancel the sync",
        "Let it go on",
    )
    return button(
        "Cancel",
        RunAction.CANCEL,
        view.run.id,
        style="danger",
        confirm=ask,
        label=f"Cancel the sync of {view.run.audience or 'the audience'}",
    )
