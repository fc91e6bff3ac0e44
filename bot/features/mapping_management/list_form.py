"""The form *Another list*: the list to which the audience of a mapping goes from now on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from slack_sdk.models.blocks import Block, RadioButtonsElement

from bot.features.ids import MappingBlock, MappingCallback
from bot.features.mapping.list_select import ListChoice, resolve
from bot.features.mapping.views import list_input
from bot.features.mapping_lookup import MappingRef, by_id, require_start
from bot.features.mapping_management.approvals import may_approve_own
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.submission import ModalResult
from bot.ui.blocks import context, field_of, modal, notice, option, section
from bot.ui.formatting import channel_or_dm, plural
from bot.ui.modal_state import Metadata, ViewInputs
from core.connections import mapping_end
from core.runs.mapping_deletion import change_list

LEAVE, REMOVE = "leave", "remove"
_ACTION = "change the lists of its mappings"


class ListMetadata(Metadata):
    """The mapping, the connection whose lists are offered, and the channel that the person is in."""

    mapping_id: int
    connection_id: int
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class ListForm:
    """The submitted form."""

    metadata: ListMetadata
    choice: ListChoice | None
    empties: bool

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted form."""
        inputs, metadata = ViewInputs(view), ListMetadata.load(view)
        choice = ListChoice.read(inputs.choice(MappingBlock.LIST.of(metadata.connection_id)))
        return cls(metadata, choice, inputs.choice(MappingBlock.MEMBERS) == REMOVE)

    def problems(self) -> dict[str, str]:
        """Return error messages by block id."""
        if self.choice is None:
            return {MappingBlock.LIST.of(self.metadata.connection_id): "Choose the list that the audience goes to."}
        return {}


async def view_of(services: Services, actor: Actor, ref: MappingRef) -> dict[str, Any]:
    """Return the form. Raises InputError if the person may not change mappings of the connection."""
    require_start(ref.connection, actor.person, _ACTION)
    services.directory.prefetch(ref.connection)
    summary = await mapping_end.summarize(services.engine, ref.mapping.id)
    metadata = ListMetadata(mapping_id=ref.mapping.id, connection_id=ref.connection.id, channel=actor.channel)
    return form(metadata, ref, summary.members)


def form(metadata: ListMetadata, ref: MappingRef, members: int) -> dict[str, Any]:
    """Return the form. `members` is how many people are on the former list because of the mapping."""
    what = "A new mapping with the same settings takes the place of this one. An approver decides; until then nothing "
    blocks: list[Block] = [
        section(f"{ref.label}\n{what}changes. Its source and schedules go along, and this one is archived."),
        list_input(ref.connection.id),
    ]
    if members:
        options = [
            option("Leave them on the former list", LEAVE, "No later sync takes them off"),
            option("Take them off the former list", REMOVE, "A sync of its own, which needs approval"),
        ]
        element = RadioButtonsElement(action_id=MappingBlock.MEMBERS, options=options, initial_option=options[0])
        label = f"{plural(members, 'person', 'people')} on the former list"
        blocks.append(field_of(label, MappingBlock.MEMBERS, element))
    blocks.append(context("Joining a list and leaving one can start journeys in Iterable."))
    return modal(
        "Another list", blocks, callback=MappingCallback.LIST, submit="Propose", close="Cancel", metadata=metadata
    )


async def save(services: Services, actor: Actor, submitted: ListForm) -> ModalResult:
    """Propose the list. Raises InputError if the person may not, and a SyncError if Iterable can't be asked."""
    ref = await by_id(services, actor, submitted.metadata.mapping_id)
    require_start(ref.connection, actor.person, _ACTION)
    assert submitted.choice is not None
    channel = ref.mapping.channel or actor.channel
    successor, run_id = await change_list(
        services.engine,
        ref.mapping.id,
        await resolve(services, ref.connection, submitted.choice),
        empties=submitted.empties,
        by=actor.person,
        channel=channel,
        team_id=actor.team_id,
        approved=await may_approve_own(services, actor, ref),
    )
    services.wake()
    now = await by_id(services, actor, successor.id)
    if successor.replaces is None:
        sentence = f"{now.label} has taken the place of {ref.label}."
    else:
        sentence = f"{now.label} waits for approval. Until then {ref.label} is synced as before."
    if run_id is not None:
        sentence += f" Run `{run_id}` takes people off the former list. Its message appears {channel_or_dm(channel)}."
    return ModalResult(notice("Another list", sentence), sentence)
