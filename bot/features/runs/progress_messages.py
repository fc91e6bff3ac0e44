"""The message of a run while it is under way: waiting, planning, uploading."""

from slack_sdk.models.blocks import Block, ButtonElement

from bot.features.ids import RunAction
from bot.features.runs.run_view import RunView, done_words, origin
from bot.ui.blocks import Message, actions, button, confirmation, context, section
from bot.ui.formatting import bar, duration, number, plural
from core.models.run import Run, RunStatus


def waiting(story: RunView) -> Message:
    """Queued, or being planned: nothing has been sent."""
    phase = phase_words(story.run)
    text = f"*Sync of {story.what}*\n{phase}. Nothing has been sent yet."
    return _with_cancel(story, f"Sync of {story.what}: {phase.lower()}.", text)


def progress(story: RunView) -> Message:
    """Uploading."""
    phase, moment = phase_words(story.run), story.moment
    lines = [f"*Sync of {story.what}*", phase + "."]
    summary = phase
    if moment is not None and moment.total:
        percent = 100 * moment.done // moment.total
        lines.append(f"{bar(moment.done, moment.total)} {percent} %")
        lines.append(f"{number(moment.done)} of {plural(moment.total, 'change')} made{_pace(story)}")
        summary = f"{phase}, {percent} %"
    if story.run.plan is not None:
        lines.append(f"So far: {done_words(story)}, {number(story.run.counters.rejected)} rejected.")
    return _with_cancel(story, f"Sync of {story.what}: {summary}.", "\n".join(lines))


def phase_words(run: Run) -> str:
    """What a run is at, in plain words."""
    if run.stop_requested == "cancel":
        return "Cancelling, as soon as what is under way has ended"
    if run.status is RunStatus.INTERRUPTED:
        return "Interrupted; it goes on by itself as soon as the program runs again"
    if run.phase.startswith("waiting for run") and run.status.is_active:
        return f"Waiting until run {run.phase.removeprefix('waiting for run ')} of the same list has ended"
    if run.status is RunStatus.PLANNING:
        return "Reading the audience and comparing it with the list"
    if run.status is RunStatus.RUNNING:
        return "Uploading" if run.phase == "uploading" else "About to upload"
    return "Waiting to start"


def _pace(story: RunView) -> str:
    moment = story.moment
    if moment is None or moment.rate is None or moment.seconds_left is None:
        return ""
    left = f", about {duration(moment.seconds_left)} left" if moment.done < moment.total else ""
    return f", {number(round(moment.rate))} a second{left}" if moment.rate >= 1 else left


def _with_cancel(story: RunView, text: str, body: str) -> Message:
    blocks: list[Block] = [section(body), context(*origin(story))]
    if story.run.stop_requested is None:
        blocks.append(actions(cancel_button(story)))
    return Message(text, blocks)


def cancel_button(story: RunView) -> ButtonElement:
    """*Cancel*, with the question whether it is meant."""
    ask = confirmation(
        "Cancel this sync?",
        "What was done until then stays as it is. What is left is not done.",
        "Cancel the sync",
        "Let it go on",
    )
    return button(
        "Cancel",
        RunAction.CANCEL,
        story.run.id,
        style="danger",
        confirm=ask,
        label=f"Cancel the sync of {story.run.audience or 'the audience'}",
    )
