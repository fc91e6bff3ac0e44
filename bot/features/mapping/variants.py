"""The variants of an A/B test in an uploaded file: a form with a list for each, and one proposal for all."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.models.blocks import Block, ExternalDataSelectElement, InputBlock
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import MappingAction, MappingBlock, MappingCallback
from bot.features.mapping.form import MapForm, MapMetadata
from bot.features.mapping.list_select import ListChoice, resolve
from bot.features.mapping_lookup import NAME_MAX, require_start
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.file_source import address_of
from bot.slack.submission import ModalResult, SubmissionModals, respond_to_submission
from bot.ui.blocks import context, field_of, modal, notice, section
from bot.ui.formatting import channel_or_dm, cut, escape, plural
from bot.ui.modal_state import ViewInputs
from core.runs.variants import VariantTarget, propose_variants
from core.settings import FETCHED
from core.sources.audience_ref import split_variant
from core.sources.fetch import FetchError, fetch_file
from core.sources.variants import Variant, read_variants
from core.store.mappings import AdditionLimits, RemovalPolicy

_TITLE = "Map an A/B test"
# How long Slack may take to hand over the uploaded file, in seconds, while a person waits.
FILE_WITHIN_S = 30.0


class VariantsMetadata(MapMetadata):
    """What *Map an audience* asked for, and the variants in its file."""

    file_id: str
    file_name: str
    variants: tuple[str, ...]
    mode: str = "auto"
    removals: RemovalPolicy = RemovalPolicy.REMOVE
    target_channel: str | None = None
    max_added: int | None = None
    max_added_share: float | None = None


async def find_variants(services: Services, actor: Actor, wanted: MapForm) -> list[Variant]:
    """Return the variants in the uploaded file; empty if it is not of an A/B test, or if one of them was named.

    Raises InputError if the file is damaged, and FetchError if Slack does not hand it over.
    """
    assert wanted.file is not None
    if not wanted.file.name.lower().endswith(".zip"):
        return []
    engine = services.engine
    folder = engine.settings.data_dir / FETCHED / f"variants-{uuid.uuid4().hex}"
    try:
        async with (
            asyncio.timeout(FILE_WITHIN_S),
            fetch_file(address_of(actor.team_id, wanted.file.id), folder, engine.fetchers) as path,
        ):
            variants = await asyncio.to_thread(read_variants, path, wanted.file.name)
    except TimeoutError:
        raise FetchError("Slack does not hand over the file at the moment. Try again in some minutes.") from None
    named = (wanted.audience or "").strip().casefold()
    return [] if any(each.name.casefold() == named for each in variants) else variants


def variants_result(wanted: MapForm, variants: list[Variant]) -> ModalResult:
    """Return the form, in place of *Map an audience*."""
    assert wanted.file is not None
    others = [each for each in variants if not each.is_control]
    metadata = VariantsMetadata(
        connection_id=wanted.metadata.connection_id,
        channel=wanted.metadata.channel,
        file_id=wanted.file.id,
        file_name=cut(wanted.file.name, NAME_MAX),
        variants=tuple(each.name for each in others),
        mode=wanted.mode,
        removals=wanted.removals,
        target_channel=wanted.channel,
        max_added=wanted.addition_limits.number,
        max_added_share=wanted.addition_limits.share,
    )
    text = f"`{escape(wanted.file.name)}` has the variants of an A/B test. Type `/iterable-sync map` to map them."
    return ModalResult(variants_form(metadata, variants), text)


def variants_form(metadata: VariantsMetadata, variants: list[Variant]) -> dict[str, Any]:
    """Return the form: a list for each variant, or none."""
    parts = split_variant(variants[0].name)
    test = parts[0] if parts else variants[0].name
    others = [each for each in variants if not each.is_control]
    blocks: list[Block] = [
        section(
            f"*{escape(cut(test, NAME_MAX))}* is an A/B test with {plural(len(others), 'variant')}. Choose a list for "
            "each. A variant without a list is left out."
        )
    ]
    blocks += [_list_of(number, each) for number, each in enumerate(others)]
    if controls := [each for each in variants if each.is_control]:
        people = _people(controls[0])
        blocks.append(context(f"{escape(controls[0].label)}{people} is the control group and is not synced."))
    blocks.append(context("One approval covers all variants. Each gets its own mapping and sync."))
    return modal(_TITLE, blocks, callback=MappingCallback.VARIANTS, submit="Propose", close="Cancel", metadata=metadata)


def _list_of(number: int, variant: Variant) -> InputBlock:
    element = ExternalDataSelectElement(
        action_id=MappingAction.LIST, min_query_length=0, placeholder="Leave out, or type a list's name"
    )
    label = cut(f"{variant.label}{_people(variant)}", 150)
    return field_of(label, _block(number), element, optional=True)


def _people(variant: Variant) -> str:
    return "" if variant.people is None else f" ({plural(variant.people, 'person', 'people')})"


def _block(number: int) -> str:
    return MappingBlock.VARIANT_LIST.of(number)


def register(app: AsyncApp, services: Services) -> None:
    """Register the form's listener."""

    @app.view(MappingCallback.VARIANTS)
    async def on_variants(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        metadata, inputs = VariantsMetadata.load(body["view"]), ViewInputs(body["view"])
        actor = replace(Actor.of(body), channel=metadata.channel)
        choices = {
            number: choice
            for number in range(len(metadata.variants))
            if (choice := ListChoice.read(inputs.choice(_block(number)))) is not None
        }
        shown = SubmissionModals(
            waiting=notice(_TITLE, "Asking Iterable…"),
            failed=lambda sentence: notice("Not proposed", f"{sentence}\nType `/iterable-sync map` to try again."),
            at_inputs=lambda error: {_block(max(choices, default=0)): error.message},
        )
        work = _propose(services, actor, metadata, choices)
        await respond_to_submission(work, shown, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


async def _propose(
    services: Services, actor: Actor, metadata: VariantsMetadata, choices: Mapping[int, ListChoice]
) -> ModalResult:
    """Propose a mapping for each variant that has a list. Raises a SyncError if that can't be done."""
    connection = await services.connection(actor, metadata.connection_id)
    require_start(connection, actor.person, "propose mappings")
    targets = [
        VariantTarget(metadata.variants[number], await resolve(services, connection, choice))
        for number, choice in choices.items()
    ]
    await propose_variants(
        services.engine,
        connection,
        targets,
        path=address_of(actor.team_id, metadata.file_id),
        mode=metadata.mode,
        removals=metadata.removals,
        limits=AdditionLimits(metadata.max_added, metadata.max_added_share),
        channel=metadata.target_channel,
        by=actor.person,
        team_id=actor.team_id,
    )
    services.wake()
    place = channel_or_dm(metadata.target_channel)
    text = (
        f"{plural(len(targets), 'mapping')} proposed, from `{escape(metadata.file_name)}`. What each would change is "
        f"being worked out: one card appears {place}, with the buttons to approve or decline. Nothing is sent before "
        "that."
    )
    return ModalResult(notice("Proposed", text), text)
