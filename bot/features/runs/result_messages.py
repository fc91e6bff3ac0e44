"""The message of a run that has ended: succeeded, failed, cancelled, declined, or a dry run."""

from slack_sdk.models.blocks import Block, ButtonElement

from bot.features.ids import ConnectAction, RunAction, UndoAction
from bot.features.runs.remediation import remediation
from bot.features.runs.run_view import RunView, comment, done_words, origin, reason
from bot.ui.blocks import Message, actions, button, context, fields, section
from bot.ui.formatting import duration, escape, moment, number, person, plural, rejected_words
from core.errors import (
    AmbiguousColumnsError,
    AudiencesOfOneNameError,
    ColumnNotFoundError,
    InputError,
    SeveralAudiencesError,
)
from core.iterable import InvalidApiKeyError
from core.models.run import RunPlan, RunStatus
from core.reporting.rejection_reasons import explain

# The most characters of rejection reasons in one section.
CAUSES_MAX = 2800
# Error codes that another file may avoid.
OF_THE_FILE = (
    InputError.code,
    SeveralAudiencesError.code,
    AudiencesOfOneNameError.code,
    AmbiguousColumnsError.code,
    ColumnNotFoundError.code,
)
_RETRY_LABEL = "Let the sync go on where it stopped"


def result_message(view: RunView) -> Message:
    """Return the message of a run that has ended."""
    if view.run.is_declined:
        return declined(view)
    if view.run.status is RunStatus.EXPIRED:
        return expired(view)
    views = {RunStatus.SUCCEEDED: summary, RunStatus.FAILED: failure, RunStatus.PLANNED: preview}
    return views.get(view.run.status, cancelled)(view)


def summary(view: RunView) -> Message:
    """Return the message of a run that succeeded."""
    report = view.report
    rejected = f", {number(report.rejected)} rejected" if report.rejected else ""
    head = f"Synced {view.what}"
    if report.members and report.rejected == report.members:  # The run succeeded, but the person would not say so.
        head = f"No one could be synced: {view.what}"
    text = f"{head}: {done_words(view)}{rejected}."
    pairs = [
        ("Added", number(report.added)),
        ("Updated", number(report.updated)),
        ("Removed", number(report.removed)),
        ("Unchanged", number(report.unchanged)),
        ("Rejected", number(report.rejected)),
    ]
    if report.merged:
        pairs.append(("Profiles merged", number(report.merged)))
    if report.duplicates:
        pairs.append(("Same person as another member", number(report.duplicates)))
    if view.run.list_size is not None:
        pairs.append(("On the list in Iterable now", number(view.run.list_size)))
    pairs.append(("Took", f"{duration(report.duration_s)}, {plural(report.requests, 'request')}"))
    blocks: list[Block] = [section(f"*{head}*\n{done_words(view)}{rejected}."), *fields(pairs)]
    blocks += [*causes(view), *notes(view)]
    buttons = [*_rejected_button(view)]
    if view.run.undo_of is None:
        buttons.append(_button("Run again", RunAction.AGAIN, view))
    buttons += _undo_button(view)
    return Message(text, [*blocks, context(*origin(view)), *_row(buttons)])


def failure(view: RunView) -> Message:
    """Return the message of a failed run: why, the progress so far, and what to do."""
    run = view.run
    why = reason(run.error or "The run failed.")
    text = f"The sync of {view.what} failed: {why}"
    blocks: list[Block] = [
        section(f"*The sync of {view.what} failed*\n{why}"),
        section(f"*Done before:* {before(view)}\n*What to do:* {what_to_do(view)}"),
        *causes(view),
        context(*origin(view)),
    ]
    buttons = retry_buttons(view)
    return Message(text, [*blocks, *_row([*buttons, *_rejected_button(view), *_undo_button(view)])])


def cancelled(view: RunView) -> Message:
    """Return the message of a run that a person cancelled, or that another run replaced."""
    why = f" {reason(view.run.error)}" if view.run.error else ""
    text = f"The sync of {view.what} was cancelled.{why}"
    body = f"*The sync of {view.what} was cancelled*{why}\n*Done before:* {before(view)}"
    buttons = [*_rejected_button(view)]
    if view.run.undo_of is None:
        buttons.append(_button("Run again", RunAction.AGAIN, view))
    buttons += _undo_button(view)
    return Message(text, [section(body), *causes(view), context(*origin(view)), *_row(buttons)])


def declined(view: RunView) -> Message:
    """Return the message of a declined run."""
    run = view.run
    remark = f" “{comment(run.comment)}”" if run.comment else ""
    text = f"{person(run.decided_by)} declined the sync of {view.what}. Nothing was sent.{remark}"
    return Message(
        text,
        [section(f"*Declined: {view.what}*\nNothing was sent, and nothing will be."), context(*origin(view))],
    )


def expired(view: RunView) -> Message:
    """Return the message of a run on which no one decided in time."""
    why = reason(view.run.error or "No one decided in time. Nothing was sent.")
    text = f"The approval of {view.what} has expired. {why}"
    buttons = [] if view.run.undo_of else [_button("Plan again", RunAction.AGAIN, view)]
    return Message(text, [section(f"*Expired: {view.what}*\n{why}"), context(*origin(view)), *_row(buttons)])


def preview(view: RunView) -> Message:
    """Return the message of a dry run."""
    report = view.report
    numbers = f"{report.added:,} to add, {report.updated:,} to update, {report.removed:,} to remove"
    text = f"Preview of {view.what}: {numbers}. Nothing was sent."
    merges = [section(merging(report.merged))] if report.merged else []
    body = f"*Preview of {view.what}*\n{numbers}, {report.unchanged:,} unchanged, {report.rejected:,} rejected."
    return Message(
        text,
        [
            section(f"{body}\nNothing was sent."),
            *merges,
            *causes(view),
            *_removals(view),
            *notes(view),
            context(*origin(view)),
        ],
    )


def causes(view: RunView) -> list[Block]:
    """Return the number of rejected members by reason, with meaning and remedy."""
    by_reason = view.report.rejected_by_reason
    if not by_reason:
        return []
    texts = [f"*{rejected_words(sum(by_reason.values()))}*: why, and _what to do about it_"]
    for why, count in by_reason.items():
        explanation = explain(why)
        line = f"• *{number(count)}*: {escape(explanation.meaning)}\n_{escape(explanation.remedy)}_"
        if len(texts[-1]) + len(line) > CAUSES_MAX:
            texts.append(line)
        else:
            texts[-1] += f"\n{line}"
    return [section(text) for text in texts]


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


def _removals(view: RunView) -> list[Block]:
    warning = removal_warning(view.run.plan) if view.run.plan else ""
    return [section(warning)] if warning else []


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
        return "nothing; the list is as it was." if not run.requests else "nothing that Iterable has confirmed."
    left = run.counters.missing
    rest = f" {plural(left, 'member')} {'is' if left == 1 else 'are'} still to be synced." if left > 0 else ""
    return f"{done_words(view)}.{rest}"


def what_to_do(view: RunView) -> str:
    """Return what to do about a failed run (mrkdwn), and when it is retried automatically."""
    advice = remediation(view.run.error_code)
    if view.run.retry_at is None:
        return advice
    return f"{advice}\nIt is retried automatically, next on {moment(view.run.retry_at)}."


def retry_buttons(view: RunView) -> list[ButtonElement]:
    """Return the buttons that may help after a failure."""
    again = view.run.error_code in OF_THE_FILE and view.run.undo_of is None
    asks = bool(view.run.column_candidates)
    buttons = [
        button("Retry", RunAction.RETRY, view.run.id, style=None if again else "primary", label=_RETRY_LABEL),
    ]
    if view.run.retry_at is not None:
        label = f"Retry {view.run.audience or 'the audience'} no longer automatically"
        buttons.append(button("Stop retrying", RunAction.STOP_RETRYING, view.run.id, label=label))
    if again:  # The same file would be refused again.
        label = f"Upload a different file of {view.run.audience or 'the audience'}"
        style = None if asks else "primary"
        other = button("Upload a different file", RunAction.START, str(view.run.mapping_id), style=style, label=label)
        buttons.insert(0, other)
    if asks:
        label = f"Choose columns for {view.run.audience or 'the audience'}"
        buttons.insert(0, button("Choose columns", RunAction.COLUMNS, view.run.id, style="primary", label=label))
    if view.report.rejected:
        buttons.append(_button("Retry rejected", RunAction.RETRY_REJECTED, view))
    if view.run.error_code == InvalidApiKeyError.code:
        buttons.append(button("Replace key", ConnectAction.KEY, str(view.connection.id)))
    return buttons


def _rejected_button(view: RunView) -> list[ButtonElement]:
    return [_button("Rejected users", RunAction.REJECTED, view)] if view.report.rejected else []


def _undo_button(view: RunView) -> list[ButtonElement]:
    return [_button("Undo", UndoAction.OPEN, view)] if view.has_changed_something else []


def _button(text: str, action: str, view: RunView) -> ButtonElement:
    return button(text, action, view.run.id, label=f"{text}: {view.run.audience or 'the audience'}")


def _row(buttons: list[ButtonElement]) -> list[Block]:
    return [actions(*buttons)] if buttons else []
