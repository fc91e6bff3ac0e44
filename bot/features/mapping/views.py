"""The modals and messages of mappings."""

from collections.abc import Sequence
from typing import Any

from slack_sdk.models.blocks import Block, InputBlock
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
    text_message,
)
from bot.ui.formatting import about, channel_or_dm, cut, escape, moment, person, plural
from bot.ui.modal_state import UploadedFile
from bot.ui.status_words import MAPPING_STATUSES
from core.connections.permissions import has_stand_ins
from core.mapping_lifecycle import AUDIENCE_MAX_LENGTH
from core.store.connections import Connection
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus, RemovalPolicy

COMMENT_MAX = 500
# The number of mappings in one message; Slack allows 50 blocks.
MOST_LISTED = 20

MODES = {
    "auto": ("As the file says", "A whole audience replaces, additions and removals change"),
    "mirror": ("Mirror", "The list is made equal to the audience each time"),
    "add": ("Add only", "People are added, no one is ever taken off"),
}
REMOVALS = {
    RemovalPolicy.REMOVE: ("Take them off the list", "Only people that this mapping put there"),
    RemovalPolicy.ASK: ("Ask each time", "An approver decides before anybody is taken off"),
    RemovalPolicy.KEEP: ("Keep them on the list", "No one is taken off"),
}


def map_form(metadata: MapMetadata, connections: Sequence[Connection]) -> dict[str, Any]:
    """Return the form *Map an audience*. It asks for the connection only if there are several."""
    blocks: list[Block] = []
    if len(connections) > 1:
        blocks.append(_connection(metadata, connections))
    blocks += [_audience(), _file(), list_input(metadata.connection_id), _mode(), _removals(), _channel(metadata)]
    blocks.append(context("Saving only proposes it. Nothing is sent until an approver has approved it."))
    return modal(
        "Map an audience", blocks, callback=MappingCallback.MAP, submit="Propose", close="Leave it", metadata=metadata
    )


def working(title: str) -> dict[str, Any]:
    """Return the modal that is shown while Iterable is asked."""
    return notice(title, "Asking Iterable…")


def map_failed(sentence: str) -> dict[str, Any]:
    """Return the modal after an error (mrkdwn)."""
    return notice("Not proposed", f"{sentence}\nType `/iterable-sync map` to try again.")


def proposed_view(ref: MappingRef, file: UploadedFile | None) -> dict[str, Any]:
    """Return the modal after a mapping was proposed."""
    return notice("Proposed", said_proposed(ref, file))


def said_proposed(ref: MappingRef, file: UploadedFile | None) -> str:
    """Return the sentences (mrkdwn) after a mapping was proposed: what happens next."""
    where = channel_or_dm(ref.mapping.channel)
    if file is not None:
        named = ref.mapping.audience_name or ref.mapping.audience_id  # otherwise the file names it
        what = ref.label if named else f"The audience in your file → *{escape(cut(ref.list_name, NAME_MAX))}*"
        return (
            f"{what} is proposed. What `{escape(file.name)}` would change is being worked out: it appears {where}, "
            "with the buttons to approve or decline. Nothing is sent before that."
        )
    return (
        f"{ref.label} is proposed. Its card appears {where}. Add the audience there to see what would change, or "
        "have an approver review it. Nothing is sent before that."
    )


def proposal(mapping: AudienceMapping, connection: Connection, list_name: str, waiting: int = 0) -> Message:
    """Return the card of a proposed mapping without runs, or of its decision.

    `waiting` is the number of changes from mParticle that wait for approval.
    """
    none = "no list yet" if mapping.list_id == NO_LIST else f"list {mapping.list_id}"
    ref = MappingRef(connection, mapping, list_name or none)
    if mapping.status is MappingStatus.PROPOSED:
        text = f"{person(mapping.proposed_by)} proposes a mapping: {ref.label}"
        buttons = [button("Review", MappingAction.REVIEW, str(mapping.id), label=f"Review the mapping {ref.plain}")]
        if mapping.is_live:
            return _live_proposal(ref, text, buttons, waiting)
        if mapping.list_id != NO_LIST:
            add = button(
                "Add the audience",
                RunAction.START,
                str(mapping.id),
                style="primary",
                label=f"Add the audience file of {ref.plain}",
            )
            buttons.insert(0, add)
        hint = "Add the audience to see what would change. Nothing is sent until an approver has approved it."
        return Message(text, [section(text), *_details(ref), actions(*buttons), context(hint)])
    declined = mapping.status is MappingStatus.DECLINED
    if mapping.is_live and mapping.decided_by is None and mapping.disconnected_at is not None:
        text = f"mParticle disconnected the audience before anybody decided: the mapping {ref.label}"
        return Message(text, [section(text), *_details(ref)])
    text = f"{'Declined' if declined else 'Approved'} by {person(mapping.decided_by)}: the mapping {ref.label}"
    if mapping.status is MappingStatus.PAUSED:
        text += " (paused now)"
    decided = [context(f"{moment(mapping.decided_at)}{_comment(mapping)}")] if mapping.decided_at else []
    start = button("Start a sync", RunAction.START, str(mapping.id), label=f"Start a sync of {ref.plain}")
    can_start = mapping.status is MappingStatus.ACTIVE and mapping.list_id != NO_LIST and not mapping.is_live
    return Message(text, [section(text), *_details(ref), *decided, *([actions(start)] if can_start else [])])


def _live_proposal(ref: MappingRef, text: str, buttons: list[Any], waiting: int) -> Message:
    """The card of a proposed live mapping."""
    mapping = ref.mapping
    waits = f"{about(waiting, 'change')} {'waits' if waiting == 1 else 'wait'} for approval" if waiting else ""
    if waiting:
        buttons.append(drop(mapping))
    hints = ["Nothing is sent until an approver has approved it; what mParticle sends until then waits."]
    blocks = [
        section(f"{text}\n*{waits}*" if waits else text),
        *_details(ref),
        context(*hints, deciders(ref.connection)),
    ]
    return Message(f"{text}. {waits}." if waits else text, [*blocks, actions(*buttons)])


def review_modal(ref: MappingRef) -> dict[str, Any]:
    """Return the modal in which an approver decides on a mapping, and chooses its list if it has none."""
    mapping = ref.mapping
    blocks: list[Block] = [section(f"{person(mapping.proposed_by)} proposes {ref.label}"), *_details(ref)]
    if mapping.is_live:
        blocks.append(section("It is fed by mParticle as people join and leave. What has come waits for approval."))
        if has_stand_ins(ref.connection):
            blocks.append(context(deciders(ref.connection)))
    if mapping.list_id == NO_LIST:
        blocks.append(list_input(ref.connection.id))
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
                label=f"Decline the mapping {ref.plain}",
            )
        ),
    ]
    needs_list = mapping.list_id == NO_LIST
    metadata = ReviewMetadata(mapping_id=mapping.id, connection_id=ref.connection.id, needs_list=needs_list)
    return modal(
        "Review a mapping", blocks, callback=MappingCallback.REVIEW, submit="Approve", close="Later", metadata=metadata
    )


def reviewed_view(sentence: str) -> dict[str, Any]:
    """Return the modal that shows a decision (mrkdwn)."""
    return notice("Review a mapping", sentence)


def said_decided(ref: MappingRef) -> str:
    """Return who decided on a mapping, in a sentence (mrkdwn)."""
    state = "declined" if ref.mapping.status is MappingStatus.DECLINED else "approved"
    if ref.mapping.decided_by is None:
        return f"{ref.label}: {MAPPING_STATUSES[ref.mapping.status]}."
    return f"{ref.label} is {state}, by {person(ref.mapping.decided_by)}."


def moved(ref: MappingRef) -> Message:
    """Return the message after a mapping was paused or resumed, with a button back."""
    if ref.mapping.status is MappingStatus.PAUSED:
        text = f"{ref.label} is paused. Nothing of it is synced until it is resumed."
        return Message(text, [section(text, accessory=_move_button(ref, "Resume", MappingAction.RESUME))])
    text = f"{ref.label} is active again. The next sync of it goes ahead."
    return Message(text, [section(text, accessory=_move_button(ref, "Pause", MappingAction.PAUSE))])


def not_moved(ref: MappingRef, wanted: str) -> Message:
    """Return the message if a mapping can't be paused or resumed in its present status."""
    return text_message(f"{ref.label} can't be {wanted}: it is {MAPPING_STATUSES[ref.mapping.status]}.")


def which(matches: Sequence[MappingRef], wanted: str, text: str, action: str, verb: str) -> Message:
    """Return the mappings that match a text, or all if none matches, with a button each."""
    if not matches:
        return text_message("There is no mapping yet. Type `/iterable-sync map` to propose one.")
    shown = matches[:MOST_LISTED]
    rows = [
        section(
            f"{ref.label}\n{escape(ref.connection.label)}, list {ref.mapping.list_id}, "
            f"{MAPPING_STATUSES[ref.mapping.status]}",
            accessory=button(verb, action, str(ref.mapping.id), label=f"{verb} {ref.plain}"),
        )
        for ref in shown
    ]
    more = len(matches) - len(shown)
    rest = [context(f"And {plural(more, 'more mapping')}. Type more of the name.")] if more else []
    title = f"{wanted} {text}".strip()
    return Message(title, [section(title), *rows, *rest])


def list_input(connection_id: int) -> InputBlock:
    """Return the type-ahead input for a list."""
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


def _details(ref: MappingRef) -> list[Block]:
    mapping = ref.mapping
    target = escape(cut(ref.list_name, NAME_MAX))
    blocks: list[Block] = []
    blocks += fields(
        [
            ("Audience", escape(cut(ref.audience, NAME_MAX))),
            ("List", target if mapping.list_id == NO_LIST else f"{target} ({mapping.list_id})"),
            ("Connection", escape(ref.connection.label)),
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
    text = "Nothing was sent, and nothing will be."
    return f"{text} The changes that wait are dropped, and so are those that still come." if mapping.is_live else text


def _comment(mapping: AudienceMapping) -> str:
    return f": {escape(cut(mapping.comment, COMMENT_MAX))}" if mapping.comment else ""


def _move_button(ref: MappingRef, text: str, action: MappingAction) -> Any:
    return button(text, action, str(ref.mapping.id), label=f"{text} {ref.plain}")
