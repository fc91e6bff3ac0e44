"""The cards and lists of mappings in messages."""

from collections.abc import Sequence
from typing import Any

from slack_sdk.models.blocks import Block

from bot.features.ids import MappingAction, RunAction
from bot.features.live_audiences.buttons import drop
from bot.features.mapping_lookup import NAME_MAX, MappingRef, also_fed_warning
from bot.features.permissions import deciders
from bot.ui.blocks import (
    Message,
    actions,
    button,
    context,
    fields,
    section,
    text_message,
)
from bot.ui.formatting import about, cut, escape, moment, person, plural
from bot.ui.status_words import MAPPING_STATUSES
from core.models.data_fields import fields_text
from core.models.exclusions import exclusions_text
from core.planning.guards import changes_text
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus, RemovalPolicy, is_new_list

COMMENT_MAX = 500
# The number of mappings in one message; Slack allows 50 blocks.
MOST_LISTED = 20

MODES = {
    "auto": ("Automatic (recommended)", "Full exports replace the list, change files add and remove"),
    "mirror": ("Replace", "The list becomes equal to the audience each time"),
    "add": ("Add only", "People are added, no one is ever removed"),
}
REMOVALS = {
    RemovalPolicy.REMOVE: ("Remove them from the list", "Only people that this mapping added"),
    RemovalPolicy.ASK: ("Ask each time", "An approver decides before anyone is removed"),
    RemovalPolicy.KEEP: ("Keep them on the list", "No one is removed"),
}


def proposal(ref: MappingRef, waiting: int = 0) -> Message:
    """Return the card of a proposed mapping without runs, or of its decision.

    `waiting` is the number of changes from mParticle that wait for approval.
    """
    mapping = ref.mapping
    if mapping.status is MappingStatus.PROPOSED:
        text = f":raised_hand: *Approval needed: new mapping* {ref.label}\nProposed by {person(mapping.proposed_by)}"
        buttons = [button("Review", MappingAction.REVIEW, str(mapping.id), label=f"Review the mapping {ref.plain}")]
        if mapping.is_live:
            return _live_proposal(ref, buttons, waiting)
        if mapping.list_id != NO_LIST:
            add = button(
                "Add the audience",
                RunAction.START,
                str(mapping.id),
                style="primary",
                label=f"Add the audience file of {ref.plain}",
            )
            buttons.insert(0, add)
        hints = ["Add the audience to see what would change. Nothing is sent until an approver approves it."]
        if mapping.replaces is not None:
            hints.append("Approving it ends the syncs of this audience to its former list.")
        if depends_on_source(mapping):
            hints.append("People leave the list only if the audience's file says so. A full download always does.")
        return Message(text, [section(text), *details(ref), actions(*buttons), context(*hints)])
    declined = mapping.status is MappingStatus.DECLINED
    if mapping.is_live and mapping.decided_by is None and mapping.disconnected_at is not None:
        text = f"mParticle disconnected the audience before anyone decided: {ref.label}"
        return Message(text, [section(text), *details(ref)])
    text = f"{'Declined' if declined else 'Approved'} by {person(mapping.decided_by)}: the mapping {ref.label}"
    if mapping.status is MappingStatus.PAUSED:
        text += " (paused now)"
    decided = [context(f"{moment(mapping.decided_at)}{_comment(mapping)}")] if mapping.decided_at else []
    start = button("Start a sync", RunAction.START, str(mapping.id), label=f"Start a sync of {ref.plain}")
    can_start = mapping.status is MappingStatus.ACTIVE and mapping.list_id != NO_LIST and not mapping.is_live
    return Message(text, [section(text), *details(ref), *decided, *([actions(start)] if can_start else [])])


def _live_proposal(ref: MappingRef, buttons: list[Any], waiting: int) -> Message:
    """Return the card of a proposed live mapping."""
    mapping = ref.mapping
    waits = f"{about(waiting, 'change')} {'waits' if waiting == 1 else 'wait'} for approval" if waiting else ""
    if waiting:
        buttons.append(drop(mapping))
    hints = ["Nothing is sent until an approver approves it. Changes from mParticle wait until then."]
    text = f":raised_hand: *New live audience from mParticle:* {ref.label}"
    if mapping.list_id == NO_LIST:
        text = (
            f":raised_hand: *New live audience from mParticle: {escape(cut(ref.audience, NAME_MAX))}.* Choose a list."
        )
    blocks = [
        section(f"{text}\n*{waits}*" if waits else text),
        *details(ref),
        context(*hints, deciders(ref.connection)),
    ]
    notification = f"New live audience from mParticle: {ref.label}"
    return Message(f"{notification}. {waits}." if waits else notification, [*blocks, actions(*buttons)])


def depends_on_source(mapping: AudienceMapping) -> bool:
    """Return whether it depends on the files of a mapping who leaves its list."""
    return not mapping.is_live and mapping.removal_policy is not RemovalPolicy.KEEP and mapping.mode != "add"


def moved(ref: MappingRef) -> Message:
    """Return the message after a mapping was paused or resumed, with a button back."""
    if ref.mapping.status is MappingStatus.PAUSED:
        text = f"{ref.label} is paused. Nothing syncs until someone resumes it."
        return Message(text, [section(text, accessory=_move_button(ref, "Resume", MappingAction.RESUME))])
    text = f"{ref.label} is resumed."
    return Message(text, [section(text, accessory=_move_button(ref, "Pause", MappingAction.PAUSE))])


# In the middle of a sentence.
_STATES = {
    MappingStatus.PROPOSED: "not approved yet",
    MappingStatus.ACTIVE: "already active",
    MappingStatus.PAUSED: "already paused",
    MappingStatus.DECLINED: "declined",
    MappingStatus.ARCHIVED: "archived",
}


def not_moved(ref: MappingRef, wanted: str) -> Message:
    """Return the message if a mapping can't be paused or resumed in its present status."""
    return text_message(f"{ref.label} can't be {wanted}: it is {_STATES[ref.mapping.status]}.")


def which(matches: Sequence[MappingRef], wanted: str, text: str, action: str, verb: str) -> Message:
    """Return the mappings that match a text, or all if none matches, with a button each."""
    if not matches:
        return text_message("No mappings yet. Use `/iterable-sync map` to create one.")
    shown = matches[:MOST_LISTED]
    rows = [
        section(
            f"{ref.label}\n{escape(ref.connection.label)}, {_list_id(ref.mapping)}, "
            f"{MAPPING_STATUSES[ref.mapping.status]}{managed_words(ref.mapping)}",
            accessory=button(verb, action, str(ref.mapping.id), label=f"{verb} {ref.plain}"),
        )
        for ref in shown
    ]
    more = len(matches) - len(shown)
    rest = [context(f"And {plural(more, 'more mapping')}. Type more of the name.")] if more else []
    title = f"{wanted} {text}".strip()
    return Message(title, [section(title), *rows, *rest])


def _list_id(mapping: AudienceMapping) -> str:
    return "new, created after approval" if is_new_list(mapping.list_id) else f"list {mapping.list_id}"


def managed_words(mapping: AudienceMapping) -> str:
    """Return ", managed by a file" if a configuration file manages a mapping, else nothing."""
    return ", managed by a file" if mapping.managed is not None else ""


def details(ref: MappingRef) -> list[Block]:
    """Return audience, list, connection and settings of a mapping."""
    mapping = ref.mapping
    target = escape(cut(ref.list_name, NAME_MAX))
    blocks: list[Block] = [section(also_fed_warning(ref.also_fed_by))] if ref.also_fed_by else []
    blocks += fields(
        [
            *([("Name", escape(cut(mapping.name, NAME_MAX)))] if mapping.name else []),
            ("Audience", escape(cut(mapping.audience_name or mapping.audience_id or ref.audience, NAME_MAX))),
            ("List", target if mapping.list_id == NO_LIST else f"{target} ({_list_id(mapping).removeprefix('list ')})"),
            ("Connection", escape(ref.connection.label)),
            (
                "What a sync does",
                "Follows mParticle, as people join and leave" if mapping.is_live else _mode_name(mapping.mode),
            ),
            ("When people leave", REMOVALS[mapping.removal_policy][0]),
            *([("Data fields", _fields(mapping))] if mapping.fields or mapping.fields_before else []),
            *([("Managed by", "A configuration file")] if mapping.managed is not None else []),
            *([("Excluded", escape(exclusions_text(mapping.exclusions)))] if mapping.exclusions else []),
        ]
    )
    if mapping.change_before is not None:
        blocks.append(section(f"*What was changed:* {escape(changes_text(mapping))}."))
    return blocks


def _fields(mapping: AudienceMapping) -> str:
    """Return the data fields of a mapping, and those before a change that waits for approval (mrkdwn)."""
    now = escape(fields_text(mapping.fields)) or "none"
    if mapping.fields_before is None:
        return now
    return f"{now} (until approved: {escape(fields_text(mapping.fields_before)) or 'none'})"


def _comment(mapping: AudienceMapping) -> str:
    return f": {escape(cut(mapping.comment, COMMENT_MAX))}" if mapping.comment else ""


def _move_button(ref: MappingRef, text: str, action: MappingAction) -> Any:
    return button(text, action, str(ref.mapping.id), label=f"{text} {ref.plain}")


def _mode_name(mode: str) -> str:
    return MODES.get(mode, (mode, ""))[0]
