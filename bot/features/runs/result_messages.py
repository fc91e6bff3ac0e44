"""The message of a run that has ended: succeeded, failed, cancelled, declined, or a dry run."""

from slack_sdk.models.blocks import Block, ButtonElement

from bot.features.ids import ConnectAction, RunAction, UndoAction
from bot.features.runs.rejection_words import advice_lines, rejected_line
from bot.features.runs.remediation import remediation
from bot.features.runs.run_view import RunView, comment, done_words, links, origin, reason
from bot.ui.blocks import Message, actions, button, context, section, text_message
from bot.ui.formatting import (
    NO_CHANGES,
    changes,
    duration,
    moment,
    number,
    person,
    plural,
    rejected_words,
    slack_user,
    trend,
)
from core.errors import (
    AmbiguousColumnsError,
    AudiencesOfOneNameError,
    ColumnNotFoundError,
    InputError,
    SeveralAudiencesError,
)
from core.iterable import InvalidApiKeyError
from core.models.run import RunPlan, RunStatus
from core.reporting.rejection_reasons import may_pass_later

# Error codes that another file may avoid.
OF_THE_FILE = (
    InputError.code,
    SeveralAudiencesError.code,
    AudiencesOfOneNameError.code,
    AmbiguousColumnsError.code,
    ColumnNotFoundError.code,
)


def result_message(view: RunView) -> Message:
    """Return the message of a run that has ended."""
    if view.run.is_declined:
        return declined(view)
    if view.run.status is RunStatus.EXPIRED:
        return expired(view)
    views = {RunStatus.SUCCEEDED: summary, RunStatus.FAILED: failure, RunStatus.PLANNED: preview}
    return views.get(view.run.status, cancelled)(view)


def summary(view: RunView) -> Message:
    """Return the message of a run that succeeded: the size of the list, what changed, and who could not be synced."""
    report = view.report
    done = _done(view)
    title, lines = f"Synced {view.what}", [f":white_check_mark: *Synced {view.what}*", done]
    if report.members and report.rejected == report.members:  # The run succeeded, but a person would not say so.
        title = f"No one could be synced: {view.what}"
        lines = [f":warning: *{title}*", *([] if done == NO_CHANGES else [done])]
    elif size := _size(view):
        lines = [f":white_check_mark: {size}", f"Synced {view.what}: {done}"]
    if report.merged:
        lines.append(f"{plural(report.merged, 'profile')} merged")
    blocks: list[Block] = [section("\n".join(lines))]
    rejected = rejected_line(view)
    if rejected:
        blocks.append(section(f"{rejected}\n{advice_lines(view)}"))
    buttons = [*_see_why(view), *_retry_rejected(view)]
    if view.run.undo_of is None:
        buttons.append(_button("Run again", RunAction.AGAIN, view))
    buttons += _undo_button(view)
    facts = [f"Took {duration(report.duration_s)}", *links(view)]
    small = context(" · ".join(facts), *origin(view))
    text = f"{title}{'' if done == NO_CHANGES and rejected else f': {done}'}. {rejected}".rstrip()
    return Message(text, [*blocks, *notes(view), small, *_row(buttons)])


def finished(view: RunView) -> Message | None:
    """Return the reply that mentions who asked for a run when it has ended; None if a program did, or if they are
    notified otherwise: by the alert about a failure, or by the reply that names who declined or cancelled it."""
    starter = slack_user(view.run.started_by)
    if starter is None or view.run.status not in (RunStatus.SUCCEEDED, RunStatus.PLANNED, RunStatus.EXPIRED):
        return None
    if view.run.status is RunStatus.EXPIRED:
        return text_message(f"{person(starter)}, no one approved {view.what} in time. Nothing was sent.")
    if view.run.status is RunStatus.PLANNED:
        return text_message(f"{person(starter)}, the preview of {view.what} is ready.")
    rejected = f" {rejected_words(view.report.rejected)}." if view.report.rejected else ""
    return text_message(f"{person(starter)}, {view.what} is done: {_done(view)}.{rejected}")


def failure(view: RunView) -> Message:
    """Return the message of a failed run: why, the progress so far, and what to do."""
    run = view.run
    why = reason(run.error or "The sync failed.")
    head = f"Sync failed: {view.what}"
    lines = [f":rotating_light: *{head}*", why, f"*Progress so far:* {before(view)}", what_to_do(view)]
    if rejected := rejected_line(view):
        lines.append(rejected)
    blocks: list[Block] = [section("\n".join(lines)), context(*origin(view))]
    buttons = [*retry_buttons(view), *_see_why(view), *_undo_button(view)]
    return Message(f"{head}. {why}", [*blocks, *_row(buttons)])


def cancelled(view: RunView) -> Message:
    """Return the message of a run that a person cancelled, or that another run replaced."""
    head, so_far = f"Sync cancelled: {view.what}", f"*Progress so far:* {before(view)}"
    if view.cancelled_by is not None:
        so_far = f"Cancelled by {person(view.cancelled_by)} - {_before_it(view)}"
    why = [reason(view.run.error)] if view.run.error else []
    lines = [f":no_entry_sign: *{head}*", *why, so_far]
    if rejected := rejected_line(view):
        lines.append(rejected)
    buttons = [*_see_why(view)]
    if view.run.undo_of is None:
        buttons.append(_button("Run again", RunAction.AGAIN, view))
    buttons += _undo_button(view)
    text = " ".join([f"{head}.", *why, *([so_far] if view.cancelled_by is not None else [])])
    return Message(text, [section("\n".join(lines)), context(*origin(view)), *_row(buttons)])


def declined(view: RunView) -> Message:
    """Return the message of a declined run."""
    run = view.run
    remark = f" “{comment(run.comment)}”" if run.comment else ""
    text = f"{person(run.decided_by)} declined the sync of {view.what}. Nothing was sent.{remark}"
    return Message(
        text, [section(f":no_entry_sign: *Declined: {view.what}*\nNothing was sent."), context(*origin(view))]
    )


def expired(view: RunView) -> Message:
    """Return the message of a run on which no one decided in time."""
    why = reason(view.run.error or "No one decided in time. Nothing was sent.")
    text = f"Expired: {view.what}. {why}"
    buttons = [] if view.run.undo_of else [_button("Plan again", RunAction.AGAIN, view)]
    return Message(
        text, [section(f":hourglass: *Expired: {view.what}*\n{why}"), context(*origin(view)), *_row(buttons)]
    )


def preview(view: RunView) -> Message:
    """Return the message of a dry run."""
    report = view.report
    changed = changes(to_add=report.added, to_update=report.updated, to_remove=report.removed)
    numbers = changed or NO_CHANGES
    text = f"Preview of {view.what}: {numbers}. Nothing was sent."
    rest = changes(unchanged=report.unchanged, duplicates=report.duplicates)
    done = f"{numbers} · {rest}" if rest else numbers
    lines = [f":mag: *Preview of {view.what}*", f"{done}. Nothing was sent."]
    if rejected := rejected_line(view):
        lines.append(rejected)
    if report.merged:
        lines.append(merging(report.merged))
    if view.run.plan is not None and (warning := removal_warning(view.run.plan)):
        lines.append(warning)
    row = _row([*_see_why(view), _button("Sync now", RunAction.SEND, view)])
    return Message(text, [section("\n".join(lines)), *notes(view), context(*origin(view)), *row])


def removal_warning(plan: RunPlan) -> str:
    """Return the warning that the source may leave removals out (mrkdwn), or "" if it does not."""
    if not plan.removal_note:
        return ""
    return f":warning: *People who leave may stay on the list.* {reason(plan.removal_note)}"


def merging(profiles: int) -> str:
    """Return what merging of so many profiles, at most, means (mrkdwn)."""
    return (
        f":warning: *Profiles may be merged: up to {number(profiles)}.* {plural(profiles, 'person', 'people')} with a "
        "placeholder address until now got a real one. If Iterable already has a profile with that address, it moves "
        "the placeholder's profile into it. This can't be undone."
    )


def notes(view: RunView) -> list[Block]:
    """Return how the source was read: the columns that count, and identities that were cleaned or ignored."""
    plan = view.run.plan
    if plan is None:
        return []
    waits = view.run.status is RunStatus.NEEDS_APPROVAL  # then the card has the messages of the guards
    shown = {guard.message.partition(" over. ")[2] for guard in plan.guards} if waits else set()
    texts = [note for note in plan.notes if note.partition(": ")[2] not in shown - {""}]
    return [context(reason(" ".join(texts)))] if texts else []


def before(view: RunView) -> str:
    """Return what a run had done before it stopped (mrkdwn)."""
    run = view.run
    if not view.has_changed_something:
        return "none; the list is unchanged." if not run.requests else "none that Iterable has confirmed."
    left = run.counters.missing
    rest = f", {number(left)} left to sync" if left > 0 else ""
    return f"{done_words(view)}{rest}."


def _before_it(view: RunView) -> str:
    """Return what a run had done before a person cancelled it, for the middle of a sentence (mrkdwn)."""
    if view.has_changed_something:
        return before(view)
    return "the list is unchanged." if not view.run.requests else "no change that Iterable has confirmed."


def what_to_do(view: RunView) -> str:
    """Return what to do about a failed run (mrkdwn), and when it is retried automatically."""
    advice = remediation(view.run.error_code)
    if view.run.retry_at is None:
        return f"*What you can do:* {advice}"
    return f"*Next automatic try:* {moment(view.run.retry_at)}\n*What you can do:* {advice}"


def retry_buttons(view: RunView) -> list[ButtonElement]:
    """Return the buttons that may help after a failure."""
    again = view.run.error_code in OF_THE_FILE and view.run.undo_of is None
    asks = bool(view.run.column_candidates)
    audience = view.run.audience or "the audience"
    style = None if again else "primary"
    buttons = [button("Retry now", RunAction.RETRY, view.run.id, style=style, label=f"Retry now: {audience}")]
    if again:  # The same file would be refused again.
        label = f"Upload a different file of {audience}"
        style = None if asks else "primary"
        other = button("Upload a different file", RunAction.START, str(view.run.mapping_id), style=style, label=label)
        buttons.insert(0, other)
    if asks:
        label = f"Choose columns for {audience}"
        buttons.insert(0, button("Choose columns", RunAction.COLUMNS, view.run.id, style="primary", label=label))
    if view.run.error_code == InvalidApiKeyError.code:
        buttons.append(button("Replace key", ConnectAction.KEY, str(view.connection.id)))
    if view.run.retry_at is not None:
        buttons.append(
            button("Stop retrying", RunAction.STOP_RETRYING, view.run.id, label=f"Stop retrying: {audience}")
        )
    return buttons


def _done(view: RunView) -> str:
    """Return what a sync changed, and how many stayed as they were."""
    report = view.report
    done = done_words(view)
    rest = changes(unchanged=report.unchanged, duplicates=report.duplicates)
    return f"{done} · {rest}" if rest else done


def _size(view: RunView) -> str:
    """Return the size of the list after a sync, with its trend; "" if it is not known."""
    size = view.run.list_size
    if size is None:
        return ""
    text = f"*{view.target} now has {plural(size, 'person', 'people')}*"
    earlier = view.previous
    if earlier is None or not earlier.list_size:
        return text
    change = trend(earlier.list_size, size)
    return f"{text}, {f'{change} since' if change else 'same size as'} {moment(earlier.at)}"


def _see_why(view: RunView) -> list[ButtonElement]:
    return [_button("See why", RunAction.SEE_WHY, view)] if view.report.rejected else []


def _retry_rejected(view: RunView) -> list[ButtonElement]:
    if not any(map(may_pass_later, view.report.rejected_by_reason)):
        return []
    return [_button("Retry rejected", RunAction.RETRY_REJECTED, view)]


def _undo_button(view: RunView) -> list[ButtonElement]:
    return [_button("Undo", UndoAction.OPEN, view)] if view.has_changed_something else []


def _button(text: str, action: str, view: RunView) -> ButtonElement:
    return button(text, action, view.run.id, label=f"{text}: {view.run.audience or 'the audience'}")


def _row(buttons: list[ButtonElement]) -> list[Block]:
    return [actions(*buttons)] if buttons else []
