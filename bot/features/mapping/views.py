"""Mapping an audience to a list, as it looks."""

from collections.abc import Sequence
from typing import Any

from slack_sdk.models.blocks import Block as KitBlock
from slack_sdk.models.blocks import InputBlock
from slack_sdk.models.blocks.block_elements import (
    ConversationFilter,
    ConversationSelectElement,
    ExternalDataSelectElement,
    FileInputElement,
    PlainTextInputElement,
    RadioButtonsElement,
    StaticSelectElement,
)

from bot.features.ids import MappingAction, MappingBlock, MappingCallback, RunAction
from bot.features.live_audiences.buttons import drop
from bot.features.mapping.form import MapMetadata, ReviewMetadata
from bot.features.mapping_lookup import NAME_MAX, MappingRef
from bot.features.permissions import deciders
from bot.ui.blocks import (
    Message,
    actions,
    button,
    confirmation,
    context,
    field_of,
    fields,
    modal,
    notice,
    option,
    section,
)
from bot.ui.formatting import about, cut, escape, moment, person, plural
from bot.ui.modal_state import UploadedFile
from core.connections.permissions import has_stand_ins
from core.mapping_lifecycle import AUDIENCE_MAX_LENGTH
from core.store.connections import Connection
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus, RemovalPolicy

COMMENT_MAX = 500
# Mappings that an answer lists; Slack takes 50 blocks.
MOST_LISTED = 20

MODES = {
    "auto": ("As the file says", "A whole audience replaces, additions and removals change"),
    "mirror": ("Mirror", "The list is made equal to the audience each time"),
    "add": ("Add only", "People are added, nobody is ever taken off"),
}
REMOVALS = {
    RemovalPolicy.REMOVE: ("Take them off the list", "Only people whom this mapping put there"),
    RemovalPolicy.ASK: ("Ask each time", "An approver decides before anybody is taken off"),
    RemovalPolicy.KEEP: ("Keep them on the list", "Nobody is taken off"),
}
_STATES = {
    MappingStatus.PROPOSED: "Waits for approval",
    MappingStatus.ACTIVE: "Approved",
    MappingStatus.PAUSED: "Paused",
    MappingStatus.DECLINED: "Declined",
}


def map_form(metadata: MapMetadata, connections: Sequence[Connection]) -> dict[str, Any]:
    """*Map an audience*. Which connection is only asked where there are several."""
    blocks: list[KitBlock] = []
    if len(connections) > 1:
        blocks.append(_connection(metadata, connections))
    blocks += [_audience(), _file(), list_input(metadata.connection_id), _mode(), _removals(), _channel(metadata)]
    blocks.append(context("Saving only proposes it. Nothing is sent until an approver has approved it."))
    return modal(
        "Map an audience", blocks, callback=MappingCallback.MAP, submit="Propose", close="Leave it", metadata=metadata
    )


def working(title: str) -> dict[str, Any]:
    """Shown while Iterable is asked."""
    return notice(title, "Asking Iterable…")


def map_failed(sentence: str) -> dict[str, Any]:
    """It did not work, and why (mrkdwn)."""
    return notice("Not proposed", f"{sentence}\nType `/iterable-sync map` to try again.")


def proposed_view(it: MappingRef, file: UploadedFile | None) -> dict[str, Any]:
    """The mapping is proposed, and what comes next."""
    return notice("Proposed", said_proposed(it, file))


def said_proposed(it: MappingRef, file: UploadedFile | None) -> str:
    """In sentences: what is proposed, and what comes next (mrkdwn)."""
    where = _where(it.mapping.channel)
    if file is not None:
        named = it.mapping.audience_name or it.mapping.audience_id  # else the file is still to say it
        what = it.label if named else f"The audience in your file → *{escape(cut(it.list_name, NAME_MAX))}*"
        return (
            f"{what} is proposed. What `{escape(file.name)}` would change is being worked out: it appears {where}, "
            "with the buttons to approve or decline. Nothing is sent before that."
        )
    return (
        f"{it.label} is proposed. Its card appears {where}. Add the audience there to see what would change, or "
        "have an approver review it. Nothing is sent before that."
    )


def proposal(mapping: AudienceMapping, connection: Connection, list_name: str, waiting: int = 0) -> Message:
    """The card of a mapping that is proposed and of which nothing was run; or how it was decided.

    `waiting` is how many changes have come for it from mParticle.
    """
    none = "no list yet" if mapping.list_id == NO_LIST else f"list {mapping.list_id}"
    it = MappingRef(connection, mapping, list_name or none)
    if mapping.status is MappingStatus.PROPOSED:
        text = f"{person(mapping.proposed_by)} proposes a mapping: {it.label}"
        buttons = [button("Review", MappingAction.REVIEW, str(mapping.id), label=f"Review the mapping {it.plain}")]
        if mapping.is_live:
            return _live_proposal(it, text, buttons, waiting)
        if mapping.list_id != NO_LIST:
            add = button(
                "Add the audience",
                RunAction.START,
                str(mapping.id),
                style="primary",
                label=f"Add the audience file of {it.plain}",
            )
            buttons.insert(0, add)
        hint = "Add the audience to see what would change. Nothing is sent until an approver has approved it."
        return Message(text, [section(text), *_details(it), actions(*buttons), context(hint)])
    declined = mapping.status is MappingStatus.DECLINED
    if mapping.is_live and mapping.decided_by is None and mapping.disconnected_at is not None:
        text = f"mParticle disconnected the audience before anybody decided: the mapping {it.label}"
        return Message(text, [section(text), *_details(it)])
    text = f"{'Declined' if declined else 'Approved'} by {person(mapping.decided_by)}: the mapping {it.label}"
    if mapping.status is MappingStatus.PAUSED:
        text += " (paused now)"
    said = [context(f"{moment(mapping.decided_at)}{_comment(mapping)}")] if mapping.decided_at else []
    start = button("Start a sync", RunAction.START, str(mapping.id), label=f"Start a sync of {it.plain}")
    can_start = mapping.status is MappingStatus.ACTIVE and mapping.list_id != NO_LIST and not mapping.is_live
    return Message(text, [section(text), *_details(it), *said, *([actions(start)] if can_start else [])])


def _live_proposal(it: MappingRef, text: str, buttons: list[Any], waiting: int) -> Message:
    """The card of a mapping that mParticle feeds."""
    mapping = it.mapping
    waits = f"{about(waiting, 'change')} {'waits' if waiting == 1 else 'wait'} for approval" if waiting else ""
    if waiting:
        buttons.append(drop(mapping))
    hints = ["Nothing is sent until an approver has approved it; what mParticle sends until then waits."]
    said = [section(f"{text}\n*{waits}*" if waits else text), *_details(it), context(*hints, deciders(it.connection))]
    return Message(f"{text}. {waits}." if waits else text, [*said, actions(*buttons)])


def review_modal(it: MappingRef) -> dict[str, Any]:
    """A proposed mapping for who may approve it; where it has no list yet, one is chosen here."""
    mapping = it.mapping
    blocks: list[KitBlock] = [section(f"{person(mapping.proposed_by)} proposes {it.label}"), *_details(it)]
    if mapping.is_live:
        blocks.append(section("It is fed by mParticle as people join and leave. What has come waits for approval."))
        if has_stand_ins(it.connection):
            blocks.append(context(deciders(it.connection)))
    if mapping.list_id == NO_LIST:
        blocks.append(list_input(it.connection.id))
    blocks += [
        context("Joining a list can start journeys. Check that the list is the right one."),
        field_of(
            "Comment",
            MappingBlock.COMMENT,
            PlainTextInputElement(action_id=MappingBlock.COMMENT, max_length=COMMENT_MAX, multiline=True),
            optional=True,
        ),
        actions(
            button(
                "Decline",
                MappingAction.DECLINE,
                str(mapping.id),
                style="danger",
                confirm=confirmation("Decline the mapping?", _declining(mapping), "Decline", "Go back"),
                label=f"Decline the mapping {it.plain}",
            )
        ),
    ]
    needs_list = mapping.list_id == NO_LIST
    metadata = ReviewMetadata(mapping_id=mapping.id, connection_id=it.connection.id, needs_list=needs_list)
    return modal(
        "Review a mapping", blocks, callback=MappingCallback.REVIEW, submit="Approve", close="Later", metadata=metadata
    )


def reviewed_view(sentence: str) -> dict[str, Any]:
    """What came of a decision (mrkdwn)."""
    return notice("Review a mapping", sentence)


def said_decided(it: MappingRef) -> str:
    """How a mapping was decided on, in a sentence (mrkdwn)."""
    state = "declined" if it.mapping.status is MappingStatus.DECLINED else "approved"
    if it.mapping.decided_by is None:
        return f"{it.label}: {_STATES[it.mapping.status].lower()}."
    return f"{it.label} is {state}, by {person(it.mapping.decided_by)}."


def said(text: str) -> Message:
    """A sentence (mrkdwn)."""
    return Message(text, [section(text)])


def moved(it: MappingRef) -> Message:
    """A mapping was paused or resumed; the way back is a button."""
    if it.mapping.status is MappingStatus.PAUSED:
        text = f"{it.label} is paused. Nothing of it is synced until somebody resumes it."
        return Message(text, [section(text, accessory=_move_button(it, "Resume", MappingAction.RESUME))])
    text = f"{it.label} is active again. The next sync of it goes ahead."
    return Message(text, [section(text, accessory=_move_button(it, "Pause", MappingAction.PAUSE))])


def not_moved(it: MappingRef, wanted: str) -> Message:
    """A mapping is in another state than one that could be paused or resumed."""
    return said(f"{it.label} can't be {wanted}: it is {_STATES[it.mapping.status].lower()}.")


def which(found: Sequence[MappingRef], wanted: str, text: str, action: str, verb: str) -> Message:
    """Several mappings are meant by what was typed, or none: those that there are, with a button each."""
    if not found:
        return said("There is no mapping yet. Type `/iterable-sync map` to propose one.")
    shown = found[:MOST_LISTED]
    rows = [
        section(
            f"{it.label}\n{escape(it.connection.label)}, list {it.mapping.list_id}, "
            f"{_STATES[it.mapping.status].lower()}",
            accessory=button(verb, action, str(it.mapping.id), label=f"{verb} {it.plain}"),
        )
        for it in shown
    ]
    more = len(found) - len(shown)
    rest = [context(f"And {plural(more, 'more mapping')}. Type more of the name.")] if more else []
    title = f"{wanted} {text}".strip()
    return Message(title, [section(title), *rows, *rest])


def list_input(connection_id: int) -> InputBlock:
    """The list, found as a person types."""
    element = ExternalDataSelectElement(
        action_id=MappingAction.LIST, min_query_length=0, placeholder="Type a list's name, or a new name"
    )
    hint = "A Standard list of the project. A name that is not there yet is offered as a new list."
    return field_of("List in Iterable", MappingBlock.LIST.of(connection_id), element, hint=hint)


def _connection(metadata: MapMetadata, connections: Sequence[Connection]) -> InputBlock:
    options = {each.id: option(each.label, str(each.id)) for each in connections[:100]}
    element = StaticSelectElement(
        action_id=MappingAction.CONNECTION,
        options=list(options.values()),
        initial_option=options.get(metadata.connection_id),
    )
    return field_of("Connection", MappingBlock.CONNECTION, element, dispatch=True)


def _audience() -> InputBlock:
    element = PlainTextInputElement(
        action_id=MappingBlock.AUDIENCE, max_length=AUDIENCE_MAX_LENGTH, placeholder="For example: Spring Shoppers"
    )
    hint = "Its name or id in mParticle. With a file below it may be left empty: the file says it."
    return field_of("Audience", MappingBlock.AUDIENCE, element, hint=hint, optional=True)


def _file() -> InputBlock:
    element = FileInputElement(action_id=MappingBlock.FILE, max_files=1)
    hint = "An audience download, up to 10 MB. With it, what would change is worked out at once."
    return field_of("Audience file", MappingBlock.FILE, element, hint=hint, optional=True)


def _mode() -> InputBlock:
    options = [option(name, value, what) for value, (name, what) in MODES.items()]
    element = RadioButtonsElement(action_id=MappingBlock.MODE, options=options, initial_option=options[0])
    return field_of("What a sync does", MappingBlock.MODE, element)


def _removals() -> InputBlock:
    options = [option(name, value.value, what) for value, (name, what) in REMOVALS.items()]
    element = RadioButtonsElement(action_id=MappingBlock.REMOVALS, options=options, initial_option=options[0])
    return field_of("Who leaves the audience", MappingBlock.REMOVALS, element)


def _channel(metadata: MapMetadata) -> InputBlock:
    element = ConversationSelectElement(
        action_id=MappingBlock.CHANNEL,
        initial_conversation=metadata.channel if metadata.channel and not metadata.channel.startswith("D") else None,
        filter=ConversationFilter(include=["public", "private"], exclude_bot_users=True),
    )
    hint = "Where its syncs are shown. Empty: in a direct message to whoever starts one."
    return field_of("Channel", MappingBlock.CHANNEL, element, hint=hint, optional=True)


def _details(it: MappingRef) -> list[KitBlock]:
    mapping = it.mapping
    target = escape(cut(it.list_name, NAME_MAX))
    blocks: list[KitBlock] = []
    blocks += fields(
        [
            ("Audience", escape(cut(it.audience, NAME_MAX))),
            ("List", target if mapping.list_id == NO_LIST else f"{target} ({mapping.list_id})"),
            ("Connection", escape(it.connection.label)),
            (
                "What a sync does",
                "Follows mParticle, as people join and leave" if mapping.is_live else _mode_name(mapping.mode),
            ),
            ("Who leaves", REMOVALS[mapping.removal_policy][0]),
        ]
    )
    return blocks


def _mode_name(mode: str) -> str:
    return MODES.get(mode, (mode, ""))[0]


def _declining(mapping: AudienceMapping) -> str:
    said = "Nothing was sent, and nothing will be."
    return f"{said} The changes that wait are dropped, and so are those that still come." if mapping.is_live else said


def _comment(mapping: AudienceMapping) -> str:
    return f": {escape(cut(mapping.comment, COMMENT_MAX))}" if mapping.comment else ""


def _where(channel: str | None) -> str:
    return f"in <#{channel}>" if channel else "in your direct messages with this app"


def _move_button(it: MappingRef, text: str, action: MappingAction) -> Any:
    return button(text, action, str(it.mapping.id), label=f"{text} {it.plain}")
