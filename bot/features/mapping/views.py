"""The modals of mappings."""

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

from bot.features.ids import MappingAction, MappingBlock, MappingCallback
from bot.features.mapping.cards import COMMENT_MAX, MODES, REMOVALS, depends_on_source, details
from bot.features.mapping.form import MapMetadata, ReviewMetadata
from bot.features.mapping_lookup import NAME_MAX, MappingRef
from bot.features.permissions import deciders
from bot.ui.blocks import (
    actions,
    button,
    confirmation,
    context,
    field_of,
    modal,
    notice,
    option,
    section,
)
from bot.ui.formatting import channel_or_dm, cut, escape, person
from bot.ui.modal_state import UploadedFile
from bot.ui.more_options import options_button
from bot.ui.status_words import MAPPING_STATUSES
from core.connections.mapping_lifecycle import AUDIENCE_MAX_LENGTH
from core.connections.permissions import has_stand_ins
from core.planning.removal_limits import WHEN_MAPPED
from core.planning.source_guards import MAX_ADDED, MAX_ADDED_SHARE
from core.store.connections import Connection
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus


def map_form(metadata: MapMetadata, connections: Sequence[Connection]) -> dict[str, Any]:
    """Return the form *Map an audience*. It asks for the connection only if there are several, and for what has a
    default only if the person wants to see that."""
    blocks: list[Block] = []
    if len(connections) > 1:
        blocks.append(_connection(metadata, connections))
    blocks += [_audience(metadata), _file(), list_input(metadata.connection_id)]
    if metadata.shows_options:
        blocks += [_mode(), _removals(), _channel(metadata), *_addition_limits()]
    else:
        blocks.append(options_button(MappingAction.OPTIONS))
    hints = ["This proposes the mapping. Nothing is sent until an approver approves it."]
    if not metadata.shows_options:
        channel = metadata.suggested_channel
        place = f"in <#{channel}>" if channel else "in a direct message to whoever starts a sync"
        hints.append(f"Updates appear {place}.")
    blocks.append(context(*hints))
    return modal(
        "Map an audience", blocks, callback=MappingCallback.MAP, submit="Propose", close="Cancel", metadata=metadata
    )


def working(title: str) -> dict[str, Any]:
    """Return the modal that is shown while Iterable is asked."""
    return notice(title, "Asking Iterable…")


def map_failed(sentence: str) -> dict[str, Any]:
    """Return the modal after an error (mrkdwn)."""
    return notice("Not proposed", f"{sentence}\nType `/iterable-sync map` to try again.")


def proposed_view(ref: MappingRef, file: UploadedFile | None) -> dict[str, Any]:
    """Return the modal after a mapping was proposed."""
    return notice("Proposed", proposed_sentences(ref, file))


def proposed_sentences(ref: MappingRef, file: UploadedFile | None) -> str:
    """Return the sentences (mrkdwn) after a mapping was proposed: what happens next."""
    place = channel_or_dm(ref.mapping.channel)
    if file is not None:
        named = ref.mapping.audience_name or ref.mapping.audience_id  # otherwise the file names it
        subject = ref.label if named else f"The audience in your file → *{escape(cut(ref.list_name, NAME_MAX))}*"
        return (
            f"{subject} is proposed. What `{escape(file.name)}` would change is being worked out: it appears {place}, "
            "with the buttons to approve or decline. Nothing is sent before that."
        )
    return (
        f"{ref.label} is proposed. Its card appears {place}. Add the audience there to see what would change, or "
        "have an approver review it. Nothing is sent before that."
    )


def review_modal(ref: MappingRef) -> dict[str, Any]:
    """Return the modal in which an approver decides on a mapping, and chooses its list if it has none."""
    mapping = ref.mapping
    blocks: list[Block] = [section(f"{ref.label}\nProposed by {person(mapping.proposed_by)}"), *details(ref)]
    if mapping.is_live:
        blocks.append(section("Updates continuously from mParticle. Changes wait until it is approved."))
        if has_stand_ins(ref.connection):
            blocks.append(context(deciders(ref.connection)))
    if depends_on_source(mapping):
        blocks.append(context(WHEN_MAPPED))
    if mapping.list_id == NO_LIST:
        blocks.append(list_input(ref.connection.id))
    blocks += [
        context("Heads-up: adding people to this list may trigger Iterable journeys that send messages."),
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
        "Review a mapping",
        blocks,
        callback=MappingCallback.REVIEW,
        submit="Approve",
        close="Not now",
        metadata=metadata,
    )


def reviewed_view(sentence: str) -> dict[str, Any]:
    """Return the modal that shows a decision (mrkdwn)."""
    return notice("Review a mapping", sentence)


def decided_sentence(ref: MappingRef) -> str:
    """Return who decided on a mapping, in a sentence (mrkdwn)."""
    state = "declined" if ref.mapping.status is MappingStatus.DECLINED else "approved"
    if ref.mapping.decided_by is None:
        return f"{ref.label}: {MAPPING_STATUSES[ref.mapping.status].lower()}."
    return f"{ref.label} was {state} by {person(ref.mapping.decided_by)}."


def list_input(connection_id: int) -> InputBlock:
    """Return the type-ahead input for a list."""
    element = ExternalDataSelectElement(
        action_id=MappingAction.LIST, min_query_length=0, placeholder="Type a list's name, or a new name"
    )
    hint = "A Standard list of the project. Type a new name to create a list."
    return field_of("List in Iterable", MappingBlock.LIST.of(connection_id), element, hint=hint)


def _connection(metadata: MapMetadata, connections: Sequence[Connection]) -> InputBlock:
    options = {each.id: option(each.label, str(each.id)) for each in connections[:100]}
    element = StaticSelectElement(
        action_id=MappingAction.CONNECTION,
        options=list(options.values()),
        initial_option=options.get(metadata.connection_id),
    )
    return field_of("Connection", MappingBlock.CONNECTION, element, dispatch=True)


def _audience(metadata: MapMetadata) -> InputBlock:
    if metadata.lists_audiences:
        block = MappingBlock.LISTED_AUDIENCE.of(metadata.connection_id)
        select = ExternalDataSelectElement(
            action_id=MappingAction.AUDIENCE, min_query_length=0, placeholder="Type an audience's name or id"
        )
        listed_hint = (
            "The active audiences in mParticle. Leave blank if you upload a file. For a variant of an A/B test "
            "type its full name, such as Spring - Blue."
        )
        return field_of("Audience in mParticle", block, select, hint=listed_hint, optional=True)
    element = PlainTextInputElement(
        action_id=MappingBlock.AUDIENCE, max_length=AUDIENCE_MAX_LENGTH, placeholder="For example: Spring Shoppers"
    )
    hint = (
        "Its name or id in mParticle. Leave blank if you upload a file. For a variant of an A/B test enter its "
        "full name, such as Spring - Blue."
    )
    return field_of("Audience", MappingBlock.AUDIENCE, element, hint=hint, optional=True)


def _file() -> InputBlock:
    element = FileInputElement(action_id=MappingBlock.FILE, max_files=1)
    hint = "An audience download, up to 10 MB. You then see right away what would change."
    return field_of("Audience file", MappingBlock.FILE, element, hint=hint, optional=True)


def _mode() -> InputBlock:
    options = [option(name, value, what) for value, (name, what) in MODES.items()]
    element = RadioButtonsElement(action_id=MappingBlock.MODE, options=options, initial_option=options[0])
    return field_of("What a sync does", MappingBlock.MODE, element)


def _removals() -> InputBlock:
    options = [option(name, value.value, what) for value, (name, what) in REMOVALS.items()]
    element = RadioButtonsElement(action_id=MappingBlock.REMOVALS, options=options, initial_option=options[0])
    return field_of("When people leave the audience", MappingBlock.REMOVALS, element)


def _addition_limits() -> list[Block]:
    number = PlainTextInputElement(action_id=MappingBlock.MAX_ADDED, max_length=9, placeholder=f"{MAX_ADDED:,}")
    share = PlainTextInputElement(
        action_id=MappingBlock.MAX_ADDED_SHARE, max_length=9, placeholder=f"{100 * MAX_ADDED_SHARE:.0f}"
    )
    hint = "A sync that adds more people than this needs approval."
    share_hint = "In percent of the people who were synced before. Approval is needed above both limits."
    return [
        field_of("Ask before adding more than", MappingBlock.MAX_ADDED, number, hint=hint, optional=True),
        field_of("And more than this share", MappingBlock.MAX_ADDED_SHARE, share, hint=share_hint, optional=True),
    ]


def _channel(metadata: MapMetadata) -> InputBlock:
    element = ConversationSelectElement(
        action_id=MappingBlock.CHANNEL,
        initial_conversation=metadata.suggested_channel,
        filter=ConversationFilter(include=["public", "private"], exclude_bot_users=True),
    )
    hint = "Where to post updates. Leave blank to send a DM to whoever starts the sync."
    return field_of("Channel", MappingBlock.CHANNEL, element, hint=hint, optional=True)


def _declining(mapping: AudienceMapping) -> str:
    text = "Nothing was sent, and nothing will be."
    return f"{text} The changes that wait are dropped, and so are those that still come." if mapping.is_live else text
