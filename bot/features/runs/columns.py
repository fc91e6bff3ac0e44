"""Choosing between columns that could be the same identity: a form, whose answer starts the sync again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.models.blocks import InputBlock, StaticSelectElement
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import RunBlock, RunCallback
from bot.features.mapping_lookup import MappingRef, require_start
from bot.features.runs.actions import again, load
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.error_handler import sentence_for
from bot.slack.reply import open_modal, reply_privately
from bot.ui.blocks import context, field_of, modal, option, section, text_message
from bot.ui.modal_state import Metadata, ViewInputs
from core.errors import ConflictError, InputError
from core.models.run import Run

# Slack's limit for a menu.
_MOST_OPTIONS = 100
_LABELS = {"email": "Email", "customer_id": "Customer ID", "mpid": "mParticle ID (mpid)"}
_REMEMBERED = "The sync starts again with these columns. Later syncs of the mapping use them too."


class ColumnsMetadata(Metadata):
    """The run that asks, and the channel that the person is in."""

    run_id: str
    channel: str | None = None


async def open_choice(services: Services, client: AsyncWebClient, actor: Actor, run_id: str) -> None:
    """Open the form. Raises InputError if the person may not start runs, and ConflictError if nothing is asked."""
    run, ref = await _asking(services, actor, run_id)
    await open_modal(client, actor, form(ColumnsMetadata(run_id=run_id, channel=actor.channel), run, ref))


async def submit(services: Services, ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
    """Start the sync again with the columns of the submitted form."""
    metadata = ColumnsMetadata.load(body["view"])
    actor = replace(Actor.of(body), channel=metadata.channel)
    await ack()
    try:
        run, _ = await _asking(services, actor, metadata.run_id)
        answer = await again(services, actor, metadata.run_id, columns=_chosen(run, ViewInputs(body["view"])))
    except Exception as error:  # noqa: BLE001  # the form is closed
        answer = text_message(sentence_for(error))
    await reply_privately(client, actor, answer)


def form(metadata: ColumnsMetadata, run: Run, ref: MappingRef) -> dict[str, Any]:
    """Return the form *Choose columns*, with a menu for each identity."""
    heading = section(f"{ref.label}: more than one column could be the same identity. Choose the one to use.")
    menus = [_menu(key, names) for key, names in run.column_candidates.items()]
    return modal(
        "Choose columns",
        [heading, *menus, context(_REMEMBERED)],
        callback=RunCallback.COLUMNS,
        submit="Start sync",
        close="Cancel",
        metadata=metadata,
    )


def _menu(key: str, names: list[str]) -> InputBlock:
    options = [option(name or "(no name)", str(place)) for place, name in enumerate(names[:_MOST_OPTIONS])]
    return field_of(
        _LABELS.get(key, key),
        RunBlock.CANDIDATES.of(key),
        StaticSelectElement(action_id=RunBlock.CANDIDATES.of(key), options=options),
    )


async def _asking(services: Services, actor: Actor, run_id: str) -> tuple[Run, MappingRef]:
    run, ref = await load(services, actor, run_id)
    require_start(ref.connection, actor.person, "start its runs")
    if not run.column_candidates:
        raise ConflictError("This run no longer asks for columns. Its message shows its status.")
    return run, ref


def _chosen(run: Run, inputs: ViewInputs) -> Mapping[str, str]:
    """Return the chosen names. Raises InputError if one is missing."""
    chosen = {}
    for key, names in run.column_candidates.items():
        place = inputs.choice(RunBlock.CANDIDATES.of(key)) or ""
        if not place.isdecimal() or int(place) >= len(names):
            raise InputError(f"Choose a column for the {_LABELS.get(key, key)}.")
        chosen[key] = names[int(place)]
    return chosen
