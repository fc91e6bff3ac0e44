"""The form *People*: the operators and approvers of one mapping. Only admins choose them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from slack_sdk.models.blocks import Block
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.connect.commands import require_admin
from bot.features.ids import MappingBlock, MappingCallback
from bot.features.mapping_lookup import MappingRef, by_id
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.submission import ModalResult
from bot.ui.blocks import context, modal, notice, section
from bot.ui.formatting import person
from bot.ui.modal_state import Metadata, ViewInputs
from bot.ui.people_inputs import GroupChoice, people_inputs, read_people
from core.connections import mapping_settings

_ACTION = "choose the operators and approvers of a mapping"
_OWN = "People you choose here replace those of the connection for this mapping."


class PeopleMetadata(Metadata):
    """The mapping, and the people that the form had at first."""

    mapping_id: int
    operators: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PeopleForm:
    """The submitted form: ids of people and user groups. None: those of the connection."""

    mapping_id: int
    operators: tuple[str, ...]
    approvers: tuple[str, ...]

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted form."""
        inputs, before = ViewInputs(view), PeopleMetadata.load(view)
        operators = read_people(inputs, MappingBlock.OPERATORS, MappingBlock.OPERATOR_GROUPS, before.operators)
        approvers = read_people(inputs, MappingBlock.APPROVERS, MappingBlock.APPROVER_GROUPS, before.approvers)
        return cls(before.mapping_id, operators, approvers)


async def view_of(services: Services, client: AsyncWebClient, actor: Actor, mapping_id: int) -> dict[str, Any]:
    """Return the form. Raises AdminsOnlyError if the person is no admin."""
    await require_admin(services, client, actor, _ACTION)
    ref = await by_id(services, actor, mapping_id)
    return form(ref, await services.group_choices(actor.team_id))


def form(ref: MappingRef, groups: list[GroupChoice]) -> dict[str, Any]:
    """Return the form, with the people that the mapping has now."""
    mapping = ref.mapping
    blocks: list[Block] = [
        section(f"{ref.label}\n{_OWN}"),
        *people_inputs(
            "Who may start its syncs",
            MappingBlock.OPERATORS,
            MappingBlock.OPERATOR_GROUPS,
            mapping.operators,
            groups,
            hint="Leave blank for those of the connection.",
            optional=True,
        ),
        *people_inputs(
            "Approvers",
            MappingBlock.APPROVERS,
            MappingBlock.APPROVER_GROUPS,
            mapping.approvers,
            groups,
            hint="Leave blank for those of the connection.",
            optional=True,
        ),
        context("Previous approvers and the alert channel are notified."),
    ]
    metadata = PeopleMetadata(mapping_id=mapping.id, operators=mapping.operators, approvers=mapping.approvers)
    return modal("People", blocks, callback=MappingCallback.PEOPLE, submit="Save", close="Cancel", metadata=metadata)


async def save(services: Services, client: AsyncWebClient, actor: Actor, submitted: PeopleForm) -> ModalResult:
    """Save the people of a mapping. Raises AdminsOnlyError if the person is no admin."""
    await require_admin(services, client, actor, _ACTION)
    ref = await by_id(services, actor, submitted.mapping_id)
    await mapping_settings.edit(
        services.engine,
        ref.mapping.id,
        by=actor.person,
        team_id=actor.team_id,
        operators=submitted.operators,
        approvers=submitted.approvers,
    )
    services.wake()
    now = await by_id(services, actor, submitted.mapping_id)
    sentence = f"{now.label} is saved. {people_words(now)}"
    return ModalResult(notice("People", sentence), sentence)


def people_words(ref: MappingRef) -> str:
    """Return who may start the syncs of a mapping, and who approves them (mrkdwn)."""
    operators = ", ".join(map(person, ref.connection.operators)) or "everyone"
    approvers = ", ".join(map(person, ref.connection.approvers)) or "no one yet"
    own = "" if ref.mapping.operators or ref.mapping.approvers else " Same as for the connection."
    return f"Operators: {operators}. Approvers: {approvers}.{own}"
