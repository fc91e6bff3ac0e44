"""Starting, cancelling and repeating runs, as it looks."""

from collections.abc import Sequence
from typing import Any

from slack_sdk.models.blocks import Block as KitBlock
from slack_sdk.models.blocks import InputBlock, Option
from slack_sdk.models.blocks.block_elements import (
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
from bot.ui.blocks import Message, button, confirmation, context, field_of, modal, option, section
from bot.ui.formatting import cut, escape, moment, person, plural
from core.models.run import Run, RunStatus, SyncMode
from core.reporting.rejection_reasons import explain
from core.store.mappings import MappingStatus

# What Slack shows at most in a menu, and in an answer.
MOST_OPTIONS = 100
MOST_LISTED = 20
_ADDRESS_MAX = 2000

_MODES = (
    ("As the mapping says", "auto", "And where it says nothing: as the file says"),
    ("The file is the whole audience", SyncMode.MIRROR.value, "Who is not in it has left"),
    ("The file is additions and removals", SyncMode.DELTA.value, "Who is not in it stays as they are"),
    ("Only add", SyncMode.ADD.value, "Nobody is taken off the list"),
)
_UNDER_WAY = {
    RunStatus.QUEUED: "queued",
    RunStatus.PLANNING: "being planned",
    RunStatus.NEEDS_APPROVAL: "waits for approval",
    RunStatus.RUNNING: "running",
    RunStatus.INTERRUPTED: "interrupted",
}


def start_form(
    metadata: StartMetadata, chosen: MappingRef | None, *, several: bool, allowed_places: Sequence[str]
) -> dict[str, Any]:
    """*Start a sync*. `several` connections are told apart; places are asked for where the operator allows any."""
    blocks: list[KitBlock] = [_mapping(chosen, several)]
    if metadata.attached:
        blocks.append(_attached(metadata.attached))
    else:
        blocks += [_file(), _link(), *([_address(allowed_places)] if allowed_places else [])]
    blocks.append(_mode())
    blocks.append(
        context("What is new, or looks dangerous, waits for an approver. Members who are unchanged are not sent.")
    )
    return modal(
        "Start a sync", blocks, callback=RunCallback.START, submit="Start", close="Leave it", metadata=metadata
    )


def mapping_option(it: MappingRef, several: bool) -> Option:
    """A mapping to choose; `several` connections are told apart."""
    text = it.plain
    if it.mapping.status in (MappingStatus.PAUSED, MappingStatus.DECLINED):
        text += f" ({it.mapping.status})"
    return option(f"{text}, {it.connection.label}" if several else text, str(it.mapping.id))


def said(text: str) -> Message:
    """A sentence (mrkdwn)."""
    return Message(text, [section(text)])


def started(run_id: str, it: MappingRef, channel: str | None) -> Message:
    """A run was started, and is shown elsewhere than the person is."""
    return said(f"The sync of {it.label} is started: run `{run_id}`. Its message appears {_where(channel)}.")


def started_again(run_id: str, it: MappingRef, channel: str | None) -> Message:
    """A run was started by a button on another one."""
    return said(f"Started again as run `{run_id}`: {it.label}. Its message appears {_where(channel)}.")


def retried(run: Run, it: MappingRef) -> Message:
    """A run goes on."""
    return said(f"Run `{run.id}` of {it.label} goes on where it stopped. Its message shows how far it is.")


def retrying_rejected(run_id: str, it: MappingRef, channel: str | None) -> Message:
    """The rejected members of a run are tried again."""
    return said(f"Run `{run_id}` tries the rejected members of {it.label} again. It appears {_where(channel)}.")


def cancelled(run: Run, it: MappingRef, *, at_once: bool) -> Message:
    """A run was cancelled, or will be."""
    if at_once:
        return said(f"Run `{run.id}` of {it.label} is cancelled.")
    return said(
        f"Run `{run.id}` of {it.label} is being cancelled: it stops after the requests that are under way. "
        "What was done before stays done."
    )


def nothing_to_cancel() -> Message:
    """No run is under way that the person may cancel."""
    return said("No run is under way that you could cancel.")


def which_to_cancel(found: Sequence[tuple[Run, MappingRef]]) -> Message:
    """Several runs are under way, a button each."""
    text = f"{plural(len(found), 'run')} are under way. Which one is to be cancelled?"
    rows = [section(_line(run, it), accessory=_cancel_button(run, it)) for run, it in found[:MOST_LISTED]]
    more = len(found) - len(rows)
    rest = [context(f"And {plural(more, 'more run')}: `/iterable-sync cancel <run>`")] if more else []
    return Message(text, [section(text), *rows, *rest])


def no_file() -> Message:
    """The shortcut was used on a message without a file."""
    return said(
        "This message has no file that could be synced. Use *Sync to Iterable* on a message with an audience file, or "
        "type `/iterable-sync`."
    )


def no_mapping_yet() -> Message:
    """The shortcut was used, and there is no mapping to be chosen."""
    text = "There is no mapping yet, so it is not known to which list the file goes. Map the audience first."
    return Message(text, [section(text, accessory=button("Map an audience", MappingAction.OPEN))])


def rejected_summary(run: Run, it: MappingRef, by_reason: dict[str, int]) -> Message:
    """What stands above the file with the rejected members of a run: why, and what to do. Never an address."""
    text = f"{plural(sum(by_reason.values()), 'rejected member')} of run `{run.id}`: {it.label}"
    reasons = "\n".join(
        f"• {count:,}: {explain(reason).meaning} {explain(reason).remedy}" for reason, count in by_reason.items()
    )
    note = "The file below has their addresses. It is for you alone: think before you pass it on."
    return Message(text, [section(text), section(escape(reasons)), context(note)])


def rejected_sent(run: Run, count: int) -> Message:
    """The file is on its way to the person, as the channel's answer."""
    return said(
        f"The file with {plural(count, 'rejected member')} of run `{run.id}` comes to your direct messages with this "
        "app. Nobody else sees it."
    )


def rejected_not_sent(run: Run, *, perhaps: bool) -> Message:
    """The file did not get to the person, or nobody knows whether it did: how they get it otherwise."""
    first = "Slack did not confirm" if perhaps else "Slack did not take"
    look = "If it is not in your direct messages with this app, press" if perhaps else "Press"
    return said(
        f"{first} the file with the rejected members of run `{run.id}`. {look} *Rejected users* again in a moment. If "
        "it stays so, whoever operates this program can write the same file where the program runs."
    )


def _line(run: Run, it: MappingRef) -> str:
    state = _UNDER_WAY.get(run.status, run.status.value)
    return f"{it.label}: {state}\n`{run.id}`, {moment(run.created_at)}, by {person(run.started_by)}"


def _cancel_button(run: Run, it: MappingRef) -> Any:
    question = confirmation(
        "Cancel this run?", f"{it.label}. What was done before stays done.", "Cancel the run", "Let it run"
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


def _attached(files: Sequence[Attached]) -> KitBlock:
    if len(files) == 1:
        return section(f"*Audience file*\n{escape(cut(files[0].name, 100))} ({_size(files[0].size)})")
    options = [option(f"{cut(each.name, 55)} ({_size(each.size)})", each.id) for each in files]
    element = StaticSelectElement(action_id=RunBlock.ATTACHED, options=options)
    return field_of("Audience file", RunBlock.ATTACHED, element, hint="The message has several files.")


def _file() -> InputBlock:
    element = FileInputElement(action_id=RunBlock.FILE, max_files=1)
    hint = "Up to 10 MB. A larger one: put it into a channel, and choose Sync to Iterable in the message's menu."
    return field_of("Audience file", RunBlock.FILE, element, hint=hint, optional=True)


def _link() -> InputBlock:
    element = PlainTextInputElement(action_id=RunBlock.LINK, max_length=1000, placeholder="https://….slack.com/files/…")
    hint = "Of any size. Paste its link (in the file's menu: Copy link to file), or its id."
    return field_of("Or a file that is already in Slack", RunBlock.LINK, element, hint=hint, optional=True)


def _address(allowed: Sequence[str]) -> InputBlock:
    element = PlainTextInputElement(action_id=RunBlock.ADDRESS, max_length=_ADDRESS_MAX)
    hint = cut(f"The operator allows: {', '.join(allowed)}", 1500)
    return field_of("Or a path or address", RunBlock.ADDRESS, element, hint=hint, optional=True)


def _mode() -> InputBlock:
    options = [option(name, value, what) for name, value, what in _MODES]
    element = RadioButtonsElement(action_id=RunBlock.MODE, options=options, initial_option=options[0])
    return field_of("What the sync does", RunBlock.MODE, element)


def _size(size: int) -> str:
    if size < 1_000_000:
        return f"{max(1, round(size / 1000)):,} kB"
    return f"{size / 1_000_000:,.1f} MB"


def _where(channel: str | None) -> str:
    return f"in <#{channel}>" if channel and not channel.startswith("D") else "in your direct messages with this app"
