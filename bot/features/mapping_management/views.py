"""The modals and messages of this feature. Pure functions."""

from typing import Any

from slack_sdk.models.blocks import (
    Block,
    ConversationFilter,
    ConversationSelectElement,
    InputBlock,
    PlainTextInputElement,
    RadioButtonsElement,
    StaticSelectElement,
)

from bot.features.ids import MappingAction, MappingBlock, MappingCallback
from bot.features.mapping.cards import MODES, REMOVALS, details
from bot.features.mapping_lookup import MappingRef
from bot.features.mapping_management.form import ManagementMetadata, percent_text
from bot.features.mapping_management.people import people_words
from bot.ui.blocks import (
    Message,
    actions,
    button,
    confirmation,
    context,
    divider,
    field_of,
    modal,
    notice,
    option,
    section,
    text_message,
)
from bot.ui.formatting import channel_or_dm, cut, escape, moment, plural
from core.connections.mapping_end import DeletionSummary
from core.connections.mapping_settings import NAME_MAX_LENGTH
from core.models.exclusions import exclusions_text
from core.planning.guards import MASS_REMOVAL_SHARE, changes_text
from core.planning.source_guards import MAX_ADDED, MAX_ADDED_SHARE
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus

LEAVE, REMOVE = "leave", "remove"
_APPROVAL = "Changes to these two settings need approval. The approver sees the numbers of the next sync."
_APPROVAL_OF_ONE = "A change to this setting needs approval. The approver sees what would change."
_LIMITS = "Only approvers can change the limits."


def edit_modal(metadata: ManagementMetadata, ref: MappingRef, *, may_set_limits: bool) -> dict[str, Any]:
    """Return the form *Edit a mapping*, or what can be done with an archived one."""
    mapping = ref.mapping
    if mapping.status is MappingStatus.ARCHIVED:
        return _archived(ref)
    if mapping.managed is not None:
        return _managed(ref)
    blocks: list[Block] = [
        section(ref.label),
        _name(mapping),
        _channel(mapping),
        *([] if mapping.is_live else [_mode(mapping)]),
        _removals(mapping),
        context(_APPROVAL_OF_ONE if mapping.is_live else _APPROVAL),
        *_limits(mapping, may_set_limits=may_set_limits),
        divider(),
        section(f"*Excluded:* {escape(exclusions_text(mapping.exclusions)) or 'no one'}", accessory=_exclusions(ref)),
        section(people_words(ref), accessory=_people(ref)),
        *([] if mapping.is_live else [section(f"*List:* {escape(ref.list_name)}", accessory=_change_list(ref))]),
        section("*No longer needed?*\nArchive it to stop its syncs. You can restore it later."),
        actions(_archive(ref), _delete(ref)),
    ]
    return modal(
        "Edit a mapping", blocks, callback=MappingCallback.EDIT, submit="Save", close="Cancel", metadata=metadata
    )


def _managed(ref: MappingRef) -> dict[str, Any]:
    text = f"{ref.label} is managed by a configuration file, so it is changed there. You can pause and resume it here."
    return modal("Managed by a file", [section(text), *details(ref)])


def _archived(ref: MappingRef) -> dict[str, Any]:
    delete_at = ref.mapping.delete_at
    when = f" It is deleted {moment(delete_at)}." if delete_at is not None else ""
    return modal(
        "Archived mapping",
        [
            section(f"{ref.label} is archived. Nothing syncs until someone restores it.{when}"),
            actions(_restore(ref), _delete(ref)),
        ],
    )


def _exclusions(ref: MappingRef) -> Any:
    label = f"Exclude people from {ref.plain}"
    return button("Exclusions…", MappingAction.EXCLUSIONS, str(ref.mapping.id), label=label)


def _people(ref: MappingRef) -> Any:
    label = f"People… who start and approve {ref.plain}"
    return button("People…", MappingAction.PEOPLE, str(ref.mapping.id), label=label)


def _change_list(ref: MappingRef) -> Any:
    label = f"Another list… for {ref.plain}"
    return button("Another list…", MappingAction.CHANGE_LIST, str(ref.mapping.id), label=label)


def _archive(ref: MappingRef) -> Any:
    question = confirmation(
        "Archive this mapping?",
        "Its syncs stop, and pending ones are cancelled. People stay on the list.",
        "Archive",
        "Cancel",
    )
    return button("Archive", MappingAction.ARCHIVE, str(ref.mapping.id), confirm=question, label=f"Archive {ref.plain}")


def _restore(ref: MappingRef) -> Any:
    return button("Restore", MappingAction.RESTORE, str(ref.mapping.id), label=f"Restore {ref.plain}")


def _delete(ref: MappingRef) -> Any:
    return button("Delete…", MappingAction.DELETE, str(ref.mapping.id), style="danger", label=f"Delete {ref.plain}")


def delete_modal(metadata: ManagementMetadata, ref: MappingRef, summary: DeletionSummary) -> dict[str, Any]:
    """Return the modal that says what is deleted with a mapping, and asks what becomes of the people on its list."""
    lines = [ref.label]
    if summary.members:
        verb = "is" if summary.members == 1 else "are"
        lines.append(f"*{plural(summary.members, 'person', 'people')}* {verb} on the list because of this mapping.")
    else:
        lines.append("No one is on the list because of this mapping.")
    lines.append("This deletes its history and the record of who it synced. The list stays in Iterable.")
    if summary.schedules:
        names = ", ".join(f"*{escape(name)}*" for name in summary.schedules)
        lines.append(f"It also deletes its schedules: {cut(names, 500)}.")
    if ref.mapping.is_live:
        lines.append("mParticle keeps sending changes. Disconnect the audience there, or it is proposed again.")
    blocks: list[Block] = [section("\n".join(lines))]
    if summary.members:
        blocks += [_members(), context("Removing people may trigger Iterable journeys, and needs approval.")]
    return modal(
        "Delete a mapping", blocks, callback=MappingCallback.DELETE, submit="Delete", close="Cancel", metadata=metadata
    )


def _members() -> InputBlock:
    options = [
        option("Remove everyone from the list first", REMOVE, "Needs approval. The mapping is deleted 30 days later"),
        option("Keep them on the list", LEAVE, "The mapping is deleted now. No sync removes them later"),
    ]
    element = RadioButtonsElement(action_id=MappingBlock.MEMBERS, options=options)
    return field_of("People on the list", MappingBlock.MEMBERS, element)


def working() -> dict[str, Any]:
    """Return the modal that is shown while a change takes long."""
    return notice("Saving", "Saving…")


def failed(sentence: str) -> dict[str, Any]:
    """Return the modal after an error (mrkdwn)."""
    return notice("Not changed", sentence)


def done(sentence: str) -> dict[str, Any]:
    """Return the modal after a change (mrkdwn)."""
    return notice("Done", sentence)


def archived(ref: MappingRef) -> Message:
    """Return the answer after a mapping was archived, with a button back."""
    text = f"{ref.label} is archived. Its syncs have stopped, and people stay on the list."
    return Message(text, [section(text, accessory=_restore(ref))])


def restored(ref: MappingRef) -> Message:
    """Return the answer after a mapping was restored."""
    return text_message(f"{ref.label} is back. Its next sync needs approval, because its audience may have changed.")


def saved(ref: MappingRef) -> str:
    """Return the sentence after a mapping was edited (mrkdwn)."""
    if ref.mapping.change_before is None:
        return f"{ref.label} is saved."
    what = escape(changes_text(ref.mapping))
    return f"{ref.label} is saved. Needs approval with the next sync: {what}. Until then, every sync waits."


def deleted(ref: MappingRef) -> str:
    """Return the sentence after a mapping was deleted (mrkdwn)."""
    kept = "" if ref.mapping.list_id == NO_LIST else " Its list stays in Iterable as it is."
    return f"{ref.label} is deleted.{kept}"


def emptying(ref: MappingRef, run_id: str, channel: str | None) -> str:
    """Return the sentence after everyone is to be taken off a list (mrkdwn)."""
    return (
        f"Preparing to remove everyone from the list of {ref.label} (run `{run_id}`). The approval request appears "
        f"{channel_or_dm(channel)}. Afterwards the mapping is archived, and deleted 30 days later."
    )


def _name(mapping: AudienceMapping) -> InputBlock:
    element = PlainTextInputElement(
        action_id=MappingBlock.NAME,
        max_length=NAME_MAX_LENGTH,
        initial_value=mapping.name,
        placeholder=cut(mapping.audience_name or mapping.audience_id or "For example: Spring sale", 150),
    )
    return field_of("Name", MappingBlock.NAME, element, hint="Leave blank to use the audience's name.", optional=True)


def _channel(mapping: AudienceMapping) -> InputBlock:
    is_channel = mapping.channel is not None and not mapping.channel.startswith("D")
    element = ConversationSelectElement(
        action_id=MappingBlock.CHANNEL,
        initial_conversation=mapping.channel if is_channel else None,
        filter=ConversationFilter(include=["public", "private"], exclude_bot_users=True),
    )
    hint = "Where to post updates. Leave blank to send a DM to whoever starts the sync."
    return field_of("Channel", MappingBlock.CHANNEL, element, hint=hint, optional=True)


def _mode(mapping: AudienceMapping) -> InputBlock:
    modes = {**MODES, **({} if mapping.mode in MODES else {mapping.mode: (mapping.mode, "")})}
    options = {value: option(name, value, what or None) for value, (name, what) in modes.items()}
    element = StaticSelectElement(
        action_id=MappingBlock.MODE, options=list(options.values()), initial_option=options[mapping.mode]
    )
    return field_of("What a sync does", MappingBlock.MODE, element)


def _removals(mapping: AudienceMapping) -> InputBlock:
    options = {value: option(name, value.value, what) for value, (name, what) in REMOVALS.items()}
    element = StaticSelectElement(
        action_id=MappingBlock.REMOVALS,
        options=list(options.values()),
        initial_option=options[mapping.removal_policy],
    )
    return field_of("When people leave the audience", MappingBlock.REMOVALS, element)


def _limits(mapping: AudienceMapping, *, may_set_limits: bool) -> list[Block]:
    if not may_set_limits:
        return [context(_LIMITS)]
    number = PlainTextInputElement(
        action_id=MappingBlock.MAX_ADDED,
        max_length=9,
        initial_value=None if mapping.max_added is None else str(mapping.max_added),
        placeholder=f"{MAX_ADDED:,}",
    )
    return [
        field_of(
            "Ask before adding more than", MappingBlock.MAX_ADDED, number, hint="People in one sync.", optional=True
        ),
        field_of(
            "And more than this share",
            MappingBlock.MAX_ADDED_SHARE,
            _percent(MappingBlock.MAX_ADDED_SHARE, mapping.max_added_share, MAX_ADDED_SHARE),
            hint="In percent of the people who were synced before. Approval is needed above both limits.",
            optional=True,
        ),
        field_of(
            "Ask before removing more than",
            MappingBlock.MAX_REMOVED_SHARE,
            _percent(MappingBlock.MAX_REMOVED_SHARE, mapping.max_removed_share, MASS_REMOVAL_SHARE),
            hint="In percent of the people who were synced before, on a list of more than 100.",
            optional=True,
        ),
    ]


def _percent(block: str, value: float | None, default: float) -> PlainTextInputElement:
    return PlainTextInputElement(
        action_id=block,
        max_length=9,
        initial_value=percent_text(value) or None,
        placeholder=f"{100 * default:.0f}",
    )
