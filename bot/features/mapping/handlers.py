"""Mapping an audience to a list: forms, typeahead, decisions, pausing."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.mapping import activation, propose, review, views
from bot.features.mapping.form import MapMetadata, ReviewMetadata, Wanted
from bot.features.mapping.ids import Action, Block, Callback
from bot.features.mapping.list_select import Choice, NoSuchListError, offered
from bot.features.mapping.open import open_map, open_review
from bot.features.mapping_lookup import Known, by_id
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import NOT_CHANGED, change_modal, reply
from bot.slack.submission import Trial, show_outcome
from bot.ui.blocks import Message
from bot.ui.modal_state import Inputs
from core.connections.permissions import may_start
from core.errors import InputError, SyncError

_MAP_TITLE, _REVIEW_TITLE = "Map an audience", "Review a mapping"


def register(app: AsyncApp, services: Services) -> None:
    """Add the listeners of this feature to the app."""
    _register_form(app, services)
    _register_review(app, services)
    _register_moves(app, services)


def _register_form(app: AsyncApp, services: Services) -> None:
    @app.action(Action.OPEN)
    async def on_open(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        connection_id = value_of(body)
        await open_map(services, client, Actor.of(body), int(connection_id) if connection_id else None)

    @app.action(Action.CONNECTION)
    async def on_connection(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor, view = Actor.of(body), body["view"]
        chosen = await services.connection(actor.team_id, int(Inputs(view).choice(Block.CONNECTION) or 0))
        services.directory.warm(chosen)
        metadata = MapMetadata.load(view).model_copy(update={"connection_id": chosen.id})
        mine = [each for each in await services.connections(actor.team_id) if may_start(each, actor.person)]
        await change_modal(client, actor, view["id"], views.map_form(metadata, mine), NOT_CHANGED, hash=view["hash"])

    @app.options(Action.LIST)
    async def on_typing(ack: AsyncAck, body: dict[str, Any]) -> None:
        # both forms with this menu say in the same word which connection it is for
        connection_id = MapMetadata.load(body["view"]).connection_id
        connection = await services.connection(Actor.of(body).team_id, connection_id)
        options = await offered(services, connection, str(body.get("value") or ""))
        await ack(options=[each.to_dict() for each in options])

    @app.view(Callback.MAP)
    async def on_map(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        wanted = Wanted.read(body["view"])
        if problems := wanted.problems():
            await ack(response_action="errors", errors=problems)
            return
        actor = replace(Actor.of(body), channel=wanted.metadata.channel)
        trial = Trial(
            waiting=views.working(_MAP_TITLE),
            failed=views.map_failed,
            at_inputs=lambda error: {_map_block(error, wanted): error.message},
        )
        work = propose.carry_out(services, actor, wanted)
        await show_outcome(work, trial, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


def _register_review(app: AsyncApp, services: Services) -> None:
    @app.action(Action.REVIEW)
    async def on_review(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await open_review(services, client, Actor.of(body), int(value_of(body)))

    @app.view(Callback.REVIEW)
    async def on_approve(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        actor, metadata, inputs = Actor.of(body), ReviewMetadata.load(body["view"]), Inputs(body["view"])
        list_block = Block.LIST.of(metadata.connection_id)
        choice = Choice.read(inputs.choice(list_block))
        if metadata.needs_list and choice is None:
            await ack(response_action="errors", errors={list_block: "Choose the list that it goes to."})
            return
        trial = Trial(
            waiting=views.working(_REVIEW_TITLE),
            failed=views.reviewed_view,
            at_inputs=lambda error: {list_block: error.message} if metadata.needs_list else {},
        )
        work = review.approve(services, actor, metadata, choice, inputs.text(Block.COMMENT) or None)
        await show_outcome(work, trial, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])

    @app.action(Action.DECLINE)
    async def on_decline(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        comment = Inputs(body["view"]).text(Block.COMMENT) or None
        actor = Actor.of(body)
        told = await review.decline(services, actor, int(value_of(body)), comment)
        await change_modal(client, actor, body["view"]["id"], told.view, told.text)


def _register_moves(app: AsyncApp, services: Services) -> None:
    def on(action: Action, move: Callable[[Services, Actor, Known], Awaitable[Message]]) -> None:
        @app.action(action)
        async def on_move(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
            await ack()
            actor = Actor.of(body)
            it = await by_id(services, actor, int(value_of(body)))
            await reply(client, actor, await move(services, actor, it))

    on(Action.PAUSE, activation.pause)
    on(Action.RESUME, activation.resume)


def _map_block(error: SyncError, wanted: Wanted) -> str:
    """What is wrong with the audience is said there; what is wrong with the list, there."""
    is_of_list = isinstance(error, NoSuchListError) or not isinstance(error, InputError)
    return wanted.list_block if is_of_list else Block.AUDIENCE
