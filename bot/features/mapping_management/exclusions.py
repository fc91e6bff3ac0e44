"""The form *Exclusions*: who is kept off the list of a mapping."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from slack_sdk.models.blocks import (
    Block,
    CheckboxesElement,
    InputBlock,
    PlainTextInputElement,
    StaticMultiSelectElement,
)

from bot.features.ids import MappingBlock, MappingCallback
from bot.features.mapping_lookup import MappingRef, by_id, find, require_start
from bot.features.mapping_management.approvals import may_approve_own
from bot.features.mapping_management.form import ManagementMetadata
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.submission import ModalResult
from bot.ui.blocks import context, field_of, modal, notice, option, section
from bot.ui.formatting import escape, plural
from bot.ui.modal_state import ViewInputs
from core.connections.exclusions import ExclusionInput, change_exclusions
from core.models.exclusions import ExclusionKind, exclusions_text, values_of
from core.store.mappings import MappingStatus

# Slack's limits: the length of a text input, and the options of a menu.
_TEXT_MAX, _MOST_OPTIONS = 3000, 100
_FORGET = "forget"
_WHAT = (
    "Excluded people stay off the list, even if they are in the audience. The next sync removes those who are on it."
)
_APPROVAL = "Changes need approval. The approver sees the numbers of the next sync; until then every sync waits."


@dataclass(frozen=True, slots=True)
class ExclusionForm:
    """The submitted form. `forgets`: the addresses that were excluded before are excluded no longer."""

    metadata: ManagementMetadata
    add: ExclusionInput
    forgets: bool

    @classmethod
    def read(cls, view: Mapping[str, Any]) -> Self:
        """Read the submitted form."""
        inputs = ViewInputs(view)
        return cls(
            metadata=ManagementMetadata.load(view),
            add=ExclusionInput(
                _parts(inputs.text(MappingBlock.EXCLUDED_ADDRESSES)),
                _parts(inputs.text(MappingBlock.EXCLUDED_DOMAINS)),
                [line.strip() for line in inputs.text(MappingBlock.EXCLUDED_FILES).splitlines() if line.strip()],
                [int(each) for each in inputs.choices(MappingBlock.EXCLUDED_MAPPINGS)],
            ),
            forgets=inputs.is_checked(MappingBlock.EXCLUDED_FORGET),
        )


async def view_of(services: Services, actor: Actor, ref: MappingRef) -> dict[str, Any]:
    """Return the form. Raises InputError if the person may not change mappings of the connection."""
    require_start(ref.connection, actor.person, "exclude people from its mappings")
    others = [
        each
        for each in await find(services, actor)
        if each.connection.id == ref.connection.id and each.mapping.id != ref.mapping.id
    ]
    return form(ManagementMetadata(mapping_id=ref.mapping.id, channel=actor.channel), ref, others)


def form(metadata: ManagementMetadata, ref: MappingRef, others: Sequence[MappingRef]) -> dict[str, Any]:
    """Return the form, with what is excluded now."""
    chosen = ref.mapping.exclusions
    addresses = len(values_of(chosen, ExclusionKind.ADDRESS))
    blocks: list[Block] = [section(f"{ref.label}\n{_WHAT}"), _text_input(MappingBlock.EXCLUDED_DOMAINS, ref)]
    blocks.append(_text_input(MappingBlock.EXCLUDED_ADDRESSES, ref))
    if addresses:
        blocks.append(_forget(addresses))
    if others:
        blocks.append(_mappings(others, values_of(chosen, ExclusionKind.MAPPING)))
    if not ref.mapping.is_live:
        blocks.append(_text_input(MappingBlock.EXCLUDED_FILES, ref))
    blocks.append(context(_APPROVAL))
    return modal(
        "Exclusions", blocks, callback=MappingCallback.EXCLUSIONS, submit="Propose", close="Cancel", metadata=metadata
    )


async def save(services: Services, actor: Actor, submitted: ExclusionForm) -> ModalResult:
    """Change the exclusions as the form says. Raises InputError if the person may not, or if one is invalid."""
    ref = await by_id(services, actor, submitted.metadata.mapping_id)
    require_start(ref.connection, actor.person, "exclude people from its mappings")
    clear = [ExclusionKind.DOMAIN, ExclusionKind.FILE, ExclusionKind.MAPPING]
    known = set(values_of(ref.mapping.exclusions, ExclusionKind.FILE))
    places = services.engine.settings.audience_places(actor.team_id)
    await change_exclusions(
        services.engine,
        ref.mapping.id,
        add=submitted.add,
        clear=[*clear, ExclusionKind.ADDRESS] if submitted.forgets else clear,
        by=actor.person,
        team_id=actor.team_id,
        allowed=None if set(submitted.add.files) <= known else places,  # an operator chose those that are there
        approved=await may_approve_own(services, actor, ref),
    )
    services.wake()
    now = await by_id(services, actor, ref.mapping.id)
    sentence = f"{now.label} excludes {escape(exclusions_text(now.mapping.exclusions)) or 'no one'}."
    if now.mapping.status is MappingStatus.PROPOSED:
        sentence += " The change needs approval. Start a sync to see who would leave the list."
    return ModalResult(notice("Exclusions", sentence), sentence)


_TEXTS: Mapping[MappingBlock, tuple[str, str, str, ExclusionKind | None, str]] = {
    MappingBlock.EXCLUDED_DOMAINS: (
        "Domains",
        "With their subdomains. Separate several with commas.",
        "example.com",
        ExclusionKind.DOMAIN,
        ", ",
    ),
    MappingBlock.EXCLUDED_ADDRESSES: (
        "Addresses to add",
        "Only a digest of each is kept, so they are not shown again. Separate several with commas or line breaks.",
        "ada@example.com",
        None,
        "",
    ),
    MappingBlock.EXCLUDED_FILES: (
        "Files with people",
        "One path or URL per line, in an allowed place. Each sync reads the files again.",
        "s3://bucket/employees.csv",
        ExclusionKind.FILE,
        "\n",
    ),
}


def _text_input(block: MappingBlock, ref: MappingRef) -> InputBlock:
    label, hint, example, kind, separator = _TEXTS[block]
    known = () if kind is None else values_of(ref.mapping.exclusions, kind)
    element = PlainTextInputElement(
        action_id=block,
        multiline=block is not MappingBlock.EXCLUDED_DOMAINS,
        max_length=_TEXT_MAX,
        initial_value=separator.join(known) or None,
        placeholder=f"For example: {example}",
    )
    return field_of(label, block, element, hint=hint, optional=True)


def _forget(addresses: int) -> InputBlock:
    text = f"Stop excluding {plural(addresses, 'address', 'addresses')}"
    element = CheckboxesElement(action_id=MappingBlock.EXCLUDED_FORGET, options=[option(text, _FORGET)])
    return field_of("Excluded addresses", MappingBlock.EXCLUDED_FORGET, element, optional=True)


def _mappings(others: Sequence[MappingRef], chosen: Sequence[str]) -> InputBlock:
    options = {str(ref.mapping.id): option(ref.plain, str(ref.mapping.id)) for ref in others[:_MOST_OPTIONS]}
    element = StaticMultiSelectElement(
        action_id=MappingBlock.EXCLUDED_MAPPINGS,
        options=list(options.values()),
        initial_options=[options[each] for each in chosen if each in options] or None,
        placeholder="None",
    )
    hint = "Everyone that these mappings have synced, as of each sync."
    return field_of("People of other mappings", MappingBlock.EXCLUDED_MAPPINGS, element, hint=hint, optional=True)


def _parts(text: str) -> list[str]:
    return [part.strip() for line in text.splitlines() for part in line.split(",") if part.strip()]
