"""The form that starts a run, and the answers to actions on runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from slack_sdk.models.blocks import Block, InputBlock, Option
from slack_sdk.models.blocks.block_elements import (
    CheckboxesElement,
    ExternalDataSelectElement,
    FileInputElement,
    PlainTextInputElement,
    RadioButtonsElement,
    StaticSelectElement,
)

from bot.features.ids import MappingAction, RunAction, RunBlock, RunCallback
from bot.features.mapping_lookup import MappingRef
from bot.features.runs.file_links import Attached
from bot.features.runs.form import StartMetadata
from bot.features.runs.rejection_words import causes
from bot.ui.blocks import (
    Message,
    actions,
    button,
    confirmation,
    context,
    field_of,
    modal,
    notice,
    option,
    section,
    text_message,
)
from bot.ui.formatting import channel_or_dm, cut, escape, moment, person, plural, rejected_words
from bot.ui.more_options import options_button
from bot.ui.status_words import RUN_STATUSES
from core.models.run import OthersOnList, Run, SyncMode
from core.reporting.rejection_reasons import explain
from core.store.mappings import MappingStatus

# Slack's limit for a menu, and the number of runs in one message.
MOST_OPTIONS = 100
MOST_LISTED = 20
_ADDRESS_MAX = 2000
_COLUMNS_MAX = 500

_MODES = (
    ("Use the mapping's setting", "auto", None),
    ("The file is the whole audience", SyncMode.MIRROR.value, "Anyone missing is removed"),
    ("The file is additions and removals", SyncMode.DELTA.value, "Everyone else stays"),
    ("Only add", SyncMode.ADD.value, "No one is removed"),
)


_ADOPTIONS = (
    ("No", "no", "People added by other tools are not touched"),
    ("Yes, and keep everyone else", OthersOnList.LEAVE.value, "People who are not in the file stay on the list"),
    ("Yes, and remove everyone else", OthersOnList.REMOVE.value, "People who are not in the file leave the list"),
)


def start_form(
    metadata: StartMetadata, chosen: MappingRef | None, *, several: bool, allowed_places: Sequence[str]
) -> dict[str, Any]:
    """Return the form *Start a sync*.

    With `several` connections, options name theirs. With `allowed_places`, the form has an input for a path or address.
    """
    blocks: list[Block] = [_mapping(chosen, several)]
    if metadata.attached:
        blocks.append(_attached(metadata.attached))
    else:
        link = [_link()] if metadata.shows_options else []
        blocks += [_file(), *link, *([_address(allowed_places)] if allowed_places else [])]
    blocks.append(_preview_only())
    blocks += [_mode(), _columns(), _adopt()] if metadata.shows_options else [options_button(RunAction.OPTIONS)]
    blocks.append(context("New mappings and unusually large changes need approval."))
    return modal("Start a sync", blocks, callback=RunCallback.START, submit="Start", close="Cancel", metadata=metadata)


def mapping_option(ref: MappingRef, several: bool) -> Option:
    """Return a mapping as an option. With `several` connections, it names its connection."""
    text = ref.plain
    if ref.mapping.status in (MappingStatus.PAUSED, MappingStatus.DECLINED, MappingStatus.ARCHIVED):
        text += f" ({ref.mapping.status})"
    return option(f"{text}, {ref.connection.label}" if several else text, str(ref.mapping.id))


def started(run_id: str, ref: MappingRef, channel: str | None) -> Message:
    """Return the answer if a run's message appears in another place."""
    return text_message(f"Started: {ref.label}, run `{run_id}`. Follow it {channel_or_dm(channel)}.")


def started_again(run_id: str, ref: MappingRef, channel: str | None) -> Message:
    """Return the answer after a run was repeated."""
    return text_message(f"Started again: {ref.label}, run `{run_id}`. Follow it {channel_or_dm(channel)}.")


def retried(run: Run, ref: MappingRef) -> Message:
    """Return the answer after a run was resumed."""
    return text_message(f"Run `{run.id}` of {ref.label} resumes where it left off. Its message shows the progress.")


def not_retried(run: Run, ref: MappingRef) -> Message:
    """Return the answer after the automatic retries of a run were stopped."""
    return text_message(
        f"Run `{run.id}` of {ref.label} is not retried automatically. *Retry now* in its message still works."
    )


def retrying_rejected(run_id: str, ref: MappingRef, channel: str | None) -> Message:
    """Return the answer after a run of rejected members was started."""
    return text_message(
        f"Run `{run_id}` retries the rejected people of {ref.label}. Follow it {channel_or_dm(channel)}."
    )


def cancelled(run: Run, ref: MappingRef, *, at_once: bool) -> Message:
    """Return the answer after a run was cancelled, or asked to stop."""
    if at_once:
        return text_message(f"Cancelled: run `{run.id}` of {ref.label}.")
    return text_message(
        f"Cancelling run `{run.id}` of {ref.label}. Requests that are already sent are finished first, and changes "
        "already made stay."
    )


def nothing_to_cancel() -> Message:
    """Return the answer if there is no active run that the person may cancel."""
    return text_message("No sync is in progress that you could cancel.")


def which_to_cancel(active: Sequence[tuple[Run, MappingRef]]) -> Message:
    """Return the active runs with a Cancel button each."""
    text = f"{plural(len(active), 'sync', 'syncs')} are in progress. Which one do you want to cancel?"
    rows = [section(_line(run, ref), accessory=_cancel_button(run, ref)) for run, ref in active[:MOST_LISTED]]
    more = len(active) - len(rows)
    rest = [context(f"And {plural(more, 'more run')}: `/iterable-sync cancel <run>`")] if more else []
    return Message(text, [section(text), *rows, *rest])


def no_file() -> Message:
    """Return the answer if the shortcut was used on a message without files."""
    return text_message(
        "This message has no file to sync. Use *Sync to Iterable* on a message with an audience file, or type "
        "`/iterable-sync`."
    )


def no_mapping_yet() -> Message:
    """Return the answer if the shortcut was used and there are no mappings."""
    text = "No mappings yet. Map the audience to a list first."
    return Message(text, [section(text, accessory=button("Map an audience", MappingAction.OPEN))])


def see_why(run: Run, ref: MappingRef, by_reason: Mapping[str, int]) -> dict[str, Any]:
    """Return the modal with the reasons why people could not be synced, and what to do. It has no addresses."""
    send = button("Send me the file", RunAction.REJECTED, run.id, style="primary")
    note = (
        "The file has their addresses and comes to you alone, as a direct message. "
        "Only approvers and named operators can get it."
    )
    return modal("People not synced", [section(ref.label), *causes(by_reason), actions(send), context(note)])


def rejected_summary(run: Run, ref: MappingRef, by_reason: dict[str, int]) -> Message:
    """Return the message above the file of rejected members: reasons and remedies, without any address."""
    text = f"{rejected_words(sum(by_reason.values()))}: {ref.label}, run `{run.id}`"
    reasons = "\n".join(
        f"• {count:,}: {explain(reason).meaning} {explain(reason).remedy}" for reason, count in by_reason.items()
    )
    note = "Contains personal data - share with care."
    return Message(text, [section(text), section(escape(reasons)), context(note)])


def rejected_sent(run: Run, count: int) -> Message:
    """Return the answer that the file is in the direct messages."""
    return text_message(
        f"The file with {plural(count, 'person', 'people')} of run `{run.id}` comes to your direct messages with this "
        "app. No one else sees it."
    )


def file_reply(message: Message) -> dict[str, Any]:
    """Return the modal that says what became of the file."""
    return notice("People not synced", message.text)


def rejected_not_sent(run: Run, *, perhaps: bool) -> Message:
    """Return the answer if the file was not sent, or (`perhaps`) not confirmed."""
    first = "Slack did not confirm" if perhaps else "Slack did not take"
    look = "If it is not in your direct messages with this app, press" if perhaps else "Press"
    return text_message(
        f"{first} the file of run `{run.id}`. {look} *Send me the file* again in a moment. If it still fails, whoever "
        "operates this program can write the same file where the program runs."
    )


def _line(run: Run, ref: MappingRef) -> str:
    return f"{ref.label}: {RUN_STATUSES[run.status]}\n`{run.id}`, {moment(run.created_at)}, by {person(run.started_by)}"


def _cancel_button(run: Run, ref: MappingRef) -> Any:
    question = confirmation(
        "Cancel this sync?", f"{ref.label}. Changes already made stay.", "Cancel sync", "Keep syncing"
    )
    return button("Cancel", RunAction.CANCEL, run.id, style="danger", confirm=question, label=f"Cancel run {run.id}")


def _mapping(chosen: MappingRef | None, several: bool) -> InputBlock:
    element = ExternalDataSelectElement(
        action_id=RunAction.MAPPING,
        min_query_length=0,
        placeholder="Type an audience's name",
        initial_option=mapping_option(chosen, several) if chosen else None,
    )
    return field_of("Mapping", RunBlock.MAPPING, element, hint="Which audience goes to which list.")


def _attached(files: Sequence[Attached]) -> Block:
    if len(files) == 1:
        return section(f"*Audience file*\n{escape(cut(files[0].name, 100))} ({_size(files[0].size)})")
    options = [option(f"{cut(each.name, 55)} ({_size(each.size)})", each.id) for each in files]
    element = StaticSelectElement(action_id=RunBlock.ATTACHED, options=options)
    return field_of("Audience file", RunBlock.ATTACHED, element, hint="The message has several files.")


def _file() -> InputBlock:
    element = FileInputElement(action_id=RunBlock.FILE, max_files=1)
    hint = "Up to 10 MB. For a larger file, post it in a channel, and choose Sync to Iterable in the message's menu."
    return field_of("Audience file", RunBlock.FILE, element, hint=hint, optional=True)


def _link() -> InputBlock:
    element = PlainTextInputElement(action_id=RunBlock.LINK, max_length=1000, placeholder="https://….slack.com/files/…")
    hint = "Of any size. Paste its link (in the file's menu: Copy link to file), or its id."
    return field_of("Or a file that is already in Slack", RunBlock.LINK, element, hint=hint, optional=True)


def _address(allowed: Sequence[str]) -> InputBlock:
    element = PlainTextInputElement(action_id=RunBlock.ADDRESS, max_length=_ADDRESS_MAX)
    hint = cut(f"Allowed: {', '.join(allowed)}", 1500)
    return field_of("Or a file path or URL", RunBlock.ADDRESS, element, hint=hint, optional=True)


def _preview_only() -> InputBlock:
    only = option("Preview only", "yes", "Show what would change, and send nothing")
    element = CheckboxesElement(action_id=RunBlock.PREVIEW_ONLY, options=[only])
    return field_of("Preview", RunBlock.PREVIEW_ONLY, element, optional=True)


def _columns() -> InputBlock:
    element = PlainTextInputElement(
        action_id=RunBlock.COLUMNS, max_length=_COLUMNS_MAX, placeholder="email=E-Mail, customer_id=Member no"
    )
    hint = "If a table has other names for its columns, or two for one. Later syncs of the mapping use them too."
    return field_of("Columns", RunBlock.COLUMNS, element, hint=hint, optional=True)


def _mode() -> InputBlock:
    options = [option(name, value, what) for name, value, what in _MODES]
    element = RadioButtonsElement(action_id=RunBlock.MODE, options=options, initial_option=options[0])
    return field_of("What the sync does", RunBlock.MODE, element)


def _adopt() -> InputBlock:
    options = [option(name, value, what) for name, value, what in _ADOPTIONS]
    element = RadioButtonsElement(action_id=RunBlock.ADOPT, options=options, initial_option=options[0])
    hint = "For a list that another tool has filled, such as mParticle's own connection. An approver decides."
    return field_of("Take over this list", RunBlock.ADOPT, element, hint=hint)


def _size(size: int) -> str:
    if size < 1_000_000:
        return f"{max(1, round(size / 1000)):,} kB"
    return f"{size / 1_000_000:,.1f} MB"
