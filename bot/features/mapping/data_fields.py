"""The form *Data fields*: which columns of a table, or attributes of mParticle, a mapping sends to Iterable."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.models.blocks import InputBlock, PlainTextInputElement, StaticMultiSelectElement
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import MappingBlock, MappingCallback
from bot.features.mapping_lookup import MappingRef, by_id, require_start
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.error_handler import sentence_for
from bot.slack.reply import open_modal, reply_privately
from bot.ui.blocks import Message, context, field_of, modal, option, section, text_message
from bot.ui.formatting import escape
from bot.ui.modal_state import Metadata, ViewInputs
from core.connections import data_fields
from core.errors import InputError
from core.models.data_fields import MOST_FIELDS, field_name, fields_text, parse_fields
from core.store import runs
from core.store.mappings import AudienceMapping, MappingStatus

# How many of a mapping's newest runs are searched for the columns of its file.
_LOOKED_BACK = 20
_TEXT_MAX = 3000
# Slack's limit for the value of an option.
_OPTION_MAX = 75
_HOW = "Each column becomes a field on the profile in Iterable, under the same name. Empty cells change nothing."
_APPROVAL = "None by default. Your choice needs approval."
_LIVE_WAITS = "Until then, live changes wait."


class FieldsMetadata(Metadata):
    """The mapping, and the channel that the person is in."""

    mapping_id: int
    channel: str | None = None


async def open_choice(services: Services, client: AsyncWebClient, actor: Actor, ref: MappingRef) -> None:
    """Open the form. Raises InputError if the person may not change mappings of the connection."""
    require_start(ref.connection, actor.person, "choose its data fields")
    columns = await _columns(services, ref.mapping)
    metadata = FieldsMetadata(mapping_id=ref.mapping.id, channel=actor.channel)
    await open_modal(client, actor, form(metadata, ref, columns))


def form(metadata: FieldsMetadata, ref: MappingRef, columns: Sequence[str]) -> dict[str, Any]:
    """Return the form: a menu of the columns of the latest file, or a text if no file has been read."""
    fields = ref.mapping.fields
    return modal(
        "Data fields",
        [
            section(f"{ref.label}\n{_HOW}"),
            _menu(columns, fields) if columns else _text(fields),
            context(f"{_APPROVAL} {_LIVE_WAITS}" if ref.mapping.is_live else _APPROVAL),
        ],
        callback=MappingCallback.FIELDS,
        submit="Propose",
        close="Cancel",
        metadata=metadata,
    )


async def submit(services: Services, ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
    """Propose the data fields of the submitted form."""
    metadata, inputs = FieldsMetadata.load(body["view"]), ViewInputs(body["view"])
    actor = replace(Actor.of(body), channel=metadata.channel)
    try:
        ref = await by_id(services, actor, metadata.mapping_id)
        require_start(ref.connection, actor.person, "choose its data fields")
        fields = _chosen(inputs, ref.mapping)
        mapping = await data_fields.choose(
            services.engine, ref.mapping.id, fields, by=actor.person, team_id=actor.team_id
        )
    except InputError as error:
        await ack(response_action="errors", errors={_block_of(inputs): error.message})
        return
    await ack()
    try:
        services.wake()
        answer = _answer(await by_id(services, actor, mapping.id))
    except Exception as error:  # noqa: BLE001  # the form is closed
        answer = text_message(sentence_for(error))
    await reply_privately(client, actor, answer)


def _answer(ref: MappingRef) -> Message:
    fields = ref.mapping.fields
    what = f"sends the data fields {escape(fields_text(fields))}" if fields else "sends no data fields"
    if ref.mapping.status is not MappingStatus.PROPOSED:
        return text_message(f"{ref.label} {what}.")
    return text_message(
        f"{ref.label} {what}, once an approver agrees. Review the mapping, or start a sync that asks for approval."
    )


async def _columns(services: Services, mapping: AudienceMapping) -> list[str]:
    """Return the columns of the mapping's latest table, and those that are chosen already."""
    async with services.engine.database.read() as db:
        latest = await runs.latest_of(db, [mapping.id], _LOOKED_BACK)
    columns = next((run.plan.other_columns for run in latest if run.plan is not None and run.plan.other_columns), ())
    if not columns or any(len(source) > _OPTION_MAX for source in mapping.fields):
        return []
    return list(dict.fromkeys((*mapping.fields, *columns)))[:MOST_FIELDS]


def _menu(columns: Sequence[str], fields: Mapping[str, str]) -> InputBlock:
    options = {column: option(_label(column, fields), column) for column in columns}
    element = StaticMultiSelectElement(
        action_id=MappingBlock.FIELDS,
        options=list(options.values()),
        initial_options=[options[column] for column in fields if column in options] or None,
        placeholder="None",
    )
    return field_of("Columns of the file", MappingBlock.FIELDS, element, optional=True)


def _text(fields: Mapping[str, str]) -> InputBlock:
    element = PlainTextInputElement(
        action_id=MappingBlock.FIELDS_TEXT,
        max_length=_TEXT_MAX,
        initial_value=", ".join(f"{source}={name}" for source, name in fields.items()) or None,
        placeholder="Plan, City=city, $Mobile",
    )
    hint = "Columns of the file, or user attributes of mParticle, with commas between them. =NAME gives another name."
    return field_of("Columns or attributes", MappingBlock.FIELDS_TEXT, element, hint=hint, optional=True)


def _label(column: str, fields: Mapping[str, str]) -> str:
    name = fields.get(column) or field_name(column)
    return column if name == column else f"{column} as {name}"


def _chosen(inputs: ViewInputs, mapping: AudienceMapping) -> dict[str, str]:
    """Return the chosen data fields. Raises InputError if one can't be sent."""
    if inputs.has(MappingBlock.FIELDS):
        columns = inputs.choices(MappingBlock.FIELDS)
        return {column: mapping.fields.get(column) or field_name(column) for column in columns}
    return parse_fields([part for part in inputs.text(MappingBlock.FIELDS_TEXT).split(",") if part.strip()])


def _block_of(inputs: ViewInputs) -> str:
    return MappingBlock.FIELDS if inputs.has(MappingBlock.FIELDS) else MappingBlock.FIELDS_TEXT
