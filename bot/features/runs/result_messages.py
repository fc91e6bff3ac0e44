"""The message of a run that has ended: summary, failure, cancelled, declined."""

from slack_sdk.models.blocks import Block, ButtonElement

from bot.features.ids import ConnectAction, RunAction, UndoAction
from bot.features.runs.remediation import remediation
from bot.features.runs.run_view import RunView, comment, done_words, origin, reason
from bot.ui.blocks import Message, actions, button, context, fields, section
from bot.ui.formatting import duration, escape, number, person, plural, rejected_words
from core.errors import AudiencesOfOneNameError, InputError, SeveralAudiencesError
from core.iterable import InvalidApiKeyError
from core.models.run import RunStatus
from core.reporting.rejection_reasons import explain

# Characters of one section in which causes are told.
CAUSES_MAX = 2800
# The codes of errors that another file does not have.
OF_THE_FILE = (InputError.code, SeveralAudiencesError.code, AudiencesOfOneNameError.code)
_RETRY_LABEL = "Let the sync go on where it stopped"


def result_message(story: RunView) -> Message:
    """The message of a run that has ended, however it did."""
    if story.is_declined:
        return declined(story)
    views = {RunStatus.SUCCEEDED: summary, RunStatus.FAILED: failure, RunStatus.PLANNED: preview}
    return views.get(story.run.status, cancelled)(story)


def summary(story: RunView) -> Message:
    """What a run did."""
    report = story.report
    rejected = f", {number(report.rejected)} rejected" if report.rejected else ""
    head = f"Synced {story.what}"
    if report.members and report.rejected == report.members:  # it succeeded, but nobody would call it so
        head = f"Nobody could be synced: {story.what}"
    text = f"{head}: {done_words(story)}{rejected}."
    pairs = [
        ("Added", number(report.added)),
        ("Updated", number(report.updated)),
        ("Removed", number(report.removed)),
        ("Unchanged", number(report.unchanged)),
        ("Rejected", number(report.rejected)),
    ]
    if report.duplicates:
        pairs.append(("Same person as another member", number(report.duplicates)))
    if story.run.list_size is not None:
        pairs.append(("On the list in Iterable now", number(story.run.list_size)))
    pairs.append(("Took", f"{duration(report.duration_s)}, {plural(report.requests, 'request')}"))
    blocks: list[Block] = [section(f"*{head}*\n{done_words(story)}{rejected}."), *fields(pairs)]
    blocks += causes(story)
    buttons = [*_rejected_button(story)]
    if story.run.undo_of is None:
        buttons.append(_button("Run again", RunAction.AGAIN, story))
    buttons += _undo_button(story)
    return Message(text, [*blocks, context(*origin(story)), *_row(buttons)])


def failure(story: RunView) -> Message:
    """Why a run stopped, what it had done, and what can be done now."""
    run = story.run
    why = reason(run.error or "The run failed.")
    text = f"The sync of {story.what} failed: {why}"
    blocks: list[Block] = [
        section(f"*The sync of {story.what} failed*\n{why}"),
        section(f"*Done before:* {before(story)}\n*What to do:* {remediation(run.error_code)}"),
        *causes(story),
        context(*origin(story)),
    ]
    buttons = retry_buttons(story)
    return Message(text, [*blocks, *_row([*buttons, *_rejected_button(story), *_undo_button(story)])])


def cancelled(story: RunView) -> Message:
    """That a run was cancelled, by a person or because another one took its place."""
    why = f" {reason(story.run.error)}" if story.run.error else ""
    text = f"The sync of {story.what} was cancelled.{why}"
    body = f"*The sync of {story.what} was cancelled*{why}\n*Done before:* {before(story)}"
    buttons = [*_rejected_button(story)]
    if story.run.undo_of is None:
        buttons.append(_button("Run again", RunAction.AGAIN, story))
    buttons += _undo_button(story)
    return Message(text, [section(body), *causes(story), context(*origin(story)), *_row(buttons)])


def declined(story: RunView) -> Message:
    """That a person said no."""
    run = story.run
    said = f" “{comment(run.comment)}”" if run.comment else ""
    text = f"{person(run.decided_by)} declined the sync of {story.what}. Nothing was sent.{said}"
    return Message(
        text,
        [section(f"*Declined: {story.what}*\nNothing was sent, and nothing will be."), context(*origin(story))],
    )


def preview(story: RunView) -> Message:
    """What a dry run found."""
    report = story.report
    found = f"{report.added:,} to add, {report.updated:,} to update, {report.removed:,} to remove"
    text = f"Preview of {story.what}: {found}. Nothing was sent."
    body = f"*Preview of {story.what}*\n{found}, {report.unchanged:,} unchanged, {report.rejected:,} rejected."
    return Message(text, [section(f"{body}\nNothing was sent."), *causes(story), context(*origin(story))])


def causes(story: RunView) -> list[Block]:
    """How many were rejected for each reason, what it means, and what to do about it."""
    found = story.report.rejected_by_reason
    if not found:
        return []
    texts = [f"*{rejected_words(sum(found.values()))}*: why, and _what to do about it_"]
    for why, count in found.items():
        known = explain(why)
        line = f"• *{number(count)}*: {escape(known.meaning)}\n_{escape(known.remedy)}_"
        if len(texts[-1]) + len(line) > CAUSES_MAX:
            texts.append(line)
        else:
            texts[-1] += f"\n{line}"
    return [section(text) for text in texts]


def before(story: RunView) -> str:
    """What a run had done when it stopped (mrkdwn)."""
    run = story.run
    if not story.has_changed_something:
        return "nothing; the list is as it was." if not run.requests else "nothing that Iterable has confirmed."
    left = run.counters.missing
    rest = f" {plural(left, 'member')} {'is' if left == 1 else 'are'} still to be synced." if left > 0 else ""
    return f"{done_words(story)}.{rest}"


def retry_buttons(story: RunView) -> list[ButtonElement]:
    """*Retry* and its relatives, as far as they help."""
    again = story.run.error_code in OF_THE_FILE and story.run.undo_of is None
    buttons = [
        button("Retry", RunAction.RETRY, story.run.id, style=None if again else "primary", label=_RETRY_LABEL),
    ]
    if again:  # the same file would be refused once more
        label = f"Put in another file of {story.run.audience or 'the audience'}"
        other = button("Put in another file", RunAction.START, str(story.run.mapping_id), style="primary", label=label)
        buttons.insert(0, other)
    if story.report.rejected:
        buttons.append(_button("Retry rejected", RunAction.RETRY_REJECTED, story))
    if story.run.error_code == InvalidApiKeyError.code:
        buttons.append(button("Replace key", ConnectAction.KEY, str(story.connection.id)))
    return buttons


def _rejected_button(story: RunView) -> list[ButtonElement]:
    return [_button("Rejected users", RunAction.REJECTED, story)] if story.report.rejected else []


def _undo_button(story: RunView) -> list[ButtonElement]:
    return [_button("Undo", UndoAction.OPEN, story)] if story.has_changed_something else []


def _button(text: str, action: str, story: RunView) -> ButtonElement:
    return button(text, action, story.run.id, label=f"{text}: {story.run.audience or 'the audience'}")


def _row(buttons: list[ButtonElement]) -> list[Block]:
    return [actions(*buttons)] if buttons else []
