"""The modals, menus and buttons that propose, decide on, pause and resume mappings."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import MappingAction, MappingBlock, MappingCallback
from bot.features.mapping import actions, data_fields, variants, views
from bot.features.mapping.audience_select import audience_options
from bot.features.mapping.commands import map_metadata, mappable, open_map, open_review
from bot.features.mapping.form import MapForm, MapMetadata, ReviewMetadata
from bot.features.mapping.list_select import ListChoice, NoSuchListError, list_options
from bot.features.mapping_lookup import MappingRef, by_id, require_start
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import NOT_CHANGED, change_modal, reply_privately
from bot.slack.submission import FormWithOptions, SubmissionModals, respond_to_submission
from bot.ui.blocks import Message
from bot.ui.modal_state import ViewInputs
from core.connections.permissions import may_start
from core.errors import InputError, SyncError
from core.mparticle.errors import MParticleError

_MAP_TITLE, _REVIEW_TITLE = "Map an audience", "Review a mapping"


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""
    _register_form(app, services)
    _register_review(app, services)
    _register_fields(app, services)
    _register_moves(app, services)
    variants.register(app, services)


def _register_form(app: AsyncApp, services: Services) -> None:
    @app.action(MappingAction.OPEN)
    async def on_open(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        connection_id = value_of(body)
        await open_map(services, client, Actor.of(body), int(connection_id) if connection_id else None)

    @app.action(MappingAction.CONNECTION)
    async def on_connection(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor, view = Actor.of(body), body["view"]
        chosen = await services.connection(actor, int(ViewInputs(view).choice(MappingBlock.CONNECTION) or 0))
        require_start(chosen, actor.person, "propose mappings")
        before = MapMetadata.load(view)
        metadata = await map_metadata(services, chosen, before.channel)
        metadata = metadata.model_copy(update={"shows_options": before.shows_options})
        mine = await mappable(services, actor)
        await change_modal(client, actor, view["id"], views.map_form(metadata, mine), NOT_CHANGED, hash=view["hash"])

    @app.action(MappingAction.OPTIONS)
    async def on_options(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        connection = await services.connection(actor, MapMetadata.load(body["view"]).connection_id)
        require_start(connection, actor.person, "propose mappings")
        await _form(services, actor, body["view"]).show_options(client, actor)

    @app.options(MappingAction.LIST)
    async def on_typing(ack: AsyncAck, body: dict[str, Any]) -> None:
        # Both forms with this menu have the connection id in their metadata.
        connection_id = MapMetadata.load(body["view"]).connection_id
        actor = Actor.of(body)
        connection = await services.connection(actor, connection_id)
        may_see = may_start(connection, actor.person)
        options = await list_options(services, connection, str(body.get("value") or "")) if may_see else []
        await ack(options=[each.to_dict() for each in options])

    @app.options(MappingAction.AUDIENCE)
    async def on_typing_audience(ack: AsyncAck, body: dict[str, Any]) -> None:
        actor = Actor.of(body)
        connection = await services.connection(actor, MapMetadata.load(body["view"]).connection_id)
        may_see = may_start(connection, actor.person)
        typed = str(body.get("value") or "")
        options = await audience_options(services, connection, typed) if may_see else []
        await ack(options=[each.to_dict() for each in options])

    @app.view(MappingCallback.MAP)
    async def on_map(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        wanted = MapForm.read(body["view"])
        actor = replace(Actor.of(body), channel=wanted.metadata.channel)
        form = _form(services, actor, body["view"])
        if problems := wanted.problems():
            await form.show_errors(ack, problems)
            return
        shown = SubmissionModals(
            waiting=views.working(_MAP_TITLE),
            failed=views.map_failed,
            at_inputs=lambda error: {_map_block(error, wanted): error.message},
            form=form,
        )
        work = actions.propose(services, actor, wanted)
        await respond_to_submission(work, shown, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


def _register_review(app: AsyncApp, services: Services) -> None:
    @app.action(MappingAction.REVIEW)
    async def on_review(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await open_review(services, client, Actor.of(body), int(value_of(body)))

    @app.view(MappingCallback.REVIEW)
    async def on_approve(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        actor, metadata, inputs = Actor.of(body), ReviewMetadata.load(body["view"]), ViewInputs(body["view"])
        list_block = MappingBlock.LIST.of(metadata.connection_id)
        choice = ListChoice.read(inputs.choice(list_block))
        if metadata.needs_list and choice is None:
            await ack(response_action="errors", errors={list_block: "Choose the list that it goes to."})
            return
        shown = SubmissionModals(
            waiting=views.working(_REVIEW_TITLE),
            failed=views.reviewed_view,
            at_inputs=lambda error: {list_block: error.message} if metadata.needs_list else {},
        )
        work = actions.approve(services, actor, metadata, choice, inputs.text(MappingBlock.COMMENT) or None)
        await respond_to_submission(work, shown, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])

    @app.action(MappingAction.DECLINE)
    async def on_decline(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        comment = ViewInputs(body["view"]).text(MappingBlock.COMMENT) or None
        actor = Actor.of(body)
        result = await actions.decline(services, actor, int(value_of(body)), comment)
        await change_modal(client, actor, body["view"]["id"], result.view, result.text)


def _register_fields(app: AsyncApp, services: Services) -> None:
    @app.action(MappingAction.FIELDS)
    async def on_fields(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await data_fields.open_choice(services, client, actor, await by_id(services, actor, int(value_of(body))))

    @app.view(MappingCallback.FIELDS)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await data_fields.submit(services, ack, body, client)


def _register_moves(app: AsyncApp, services: Services) -> None:
    def on(action: MappingAction, move: Callable[[Services, Actor, MappingRef], Awaitable[Message]]) -> None:
        @app.action(action)
        async def on_move(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
            await ack()
            actor = Actor.of(body)
            ref = await by_id(services, actor, int(value_of(body)))
            await reply_privately(client, actor, await move(services, actor, ref))

    on(MappingAction.PAUSE, actions.pause)
    on(MappingAction.RESUME, actions.resume)


def _form(services: Services, actor: Actor, view: Mapping[str, Any]) -> FormWithOptions:
    """Return *Map an audience*, as it is on the screen."""

    async def opened() -> dict[str, Any]:
        metadata = MapMetadata.load(view).model_copy(update={"shows_options": True})
        return views.map_form(metadata, await mappable(services, actor))

    return FormWithOptions(view, opened)


def _map_block(error: SyncError, wanted: MapForm) -> str:
    """The block id of the input that an error concerns: the list or the audience."""
    is_of_list = isinstance(error, NoSuchListError) or not isinstance(error, InputError | MParticleError)
    return wanted.list_block if is_of_list else wanted.audience_block
