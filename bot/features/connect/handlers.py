"""The modals that connect a project, edit a connection and replace a key."""

from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.connect import actions, modals, mparticle_handlers, views
from bot.features.connect.commands import AdminsOnlyError, open_connect, open_edit, open_key, require_admin
from bot.features.connect.form import ConnectionForm, KeyModalState
from bot.features.ids import ConnectAction, ConnectBlock, ConnectCallback
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.admins import AdminLookupError
from bot.slack.reply import NOT_CHANGED, change_modal
from bot.slack.submission import FormWithOptions, ModalResult, SubmissionModals, respond_to_submission
from bot.ui.modal_state import ViewInputs
from core.errors import InputError, SyncError

__all__ = ["open_connect", "register"]

_CONNECT = "connect an Iterable project"


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""
    _register_opening(app, services)
    _register_again(app, services)
    _register_submitting(app, services)
    mparticle_handlers.register(app, services)


def _register_opening(app: AsyncApp, services: Services) -> None:
    @app.action(ConnectAction.OPEN)
    async def on_open(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await open_connect(services, client, Actor.of(body))

    @app.action(ConnectAction.EDIT)
    async def on_edit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await open_edit(services, client, Actor.of(body), int(value_of(body)))

    @app.action(ConnectAction.KEY)
    async def on_key(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await open_key(services, client, Actor.of(body), int(value_of(body)))


def _register_again(app: AsyncApp, services: Services) -> None:
    @app.action(ConnectAction.AGAIN)
    async def on_again(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        details, actor = ConnectionForm.load(body["view"]), Actor.of(body)
        await require_admin(services, client, actor, _CONNECT)
        groups = await services.group_choices(actor.team_id)
        if details.connection_id is None:
            form = modals.connect_form(details, groups=groups)
        else:
            connection = await services.connection(actor, details.connection_id)
            form = modals.edit_form(details, connection.key_last4, groups)
        await change_modal(client, actor, body["view"]["id"], form, NOT_CHANGED)

    @app.action(ConnectAction.OPTIONS)
    async def on_options(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await require_admin(services, client, actor, _CONNECT)
        await _form(services, actor, body["view"]).show_options(client, actor)

    @app.action(ConnectAction.KEY_AGAIN)
    async def on_key_again(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await require_admin(services, client, actor, "replace an API key")
        connection = await services.connection(actor, int(value_of(body)))
        await change_modal(client, actor, body["view"]["id"], modals.key_form(connection), NOT_CHANGED)


def _register_submitting(app: AsyncApp, services: Services) -> None:
    @app.view(ConnectCallback.CONNECT)
    async def on_connect(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        details, key = ConnectionForm.read(body["view"]), ViewInputs(body["view"]).text(ConnectBlock.KEY)
        actor = Actor.of(body)
        form = _form(services, actor, body["view"])
        if problems := {**_key_problem(key), **details.problems()}:
            await form.show_errors(ack, problems)
            return

        async def work() -> ModalResult:
            await require_admin(services, client, actor, _CONNECT)
            return await actions.connect(services, actor, details, key)

        shown = SubmissionModals(
            waiting=views.trying("Connect a project"),
            failed=lambda sentence: views.connect_failed(details, sentence),
            at_inputs=lambda error: _at(error, {InputError: ConnectBlock.NAME, SyncError: ConnectBlock.KEY}),
            form=form,
        )
        await respond_to_submission(work(), shown, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])

    @app.view(ConnectCallback.EDIT)
    async def on_edit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        details, actor = ConnectionForm.read(body["view"]), Actor.of(body)
        if problems := details.problems():
            await ack(response_action="errors", errors=problems)
            return

        async def work() -> ModalResult:
            await require_admin(services, client, actor, "change a connection")
            return await actions.edit(services, actor, details)

        shown = SubmissionModals(
            waiting=views.trying("Edit connection"),
            failed=lambda sentence: views.edit_failed(details, sentence),
            at_inputs=lambda error: _at(error, {InputError: ConnectBlock.NAME, SyncError: ConnectBlock.DATA_CENTER}),
        )
        await respond_to_submission(work(), shown, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])

    @app.view(ConnectCallback.KEY)
    async def on_key(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        connection_id, key = (
            KeyModalState.load(body["view"]).connection_id,
            ViewInputs(body["view"]).text(ConnectBlock.KEY),
        )
        if problems := _key_problem(key):
            await ack(response_action="errors", errors=problems)
            return
        actor = Actor.of(body)

        async def work() -> ModalResult:
            await require_admin(services, client, actor, "replace an API key")
            return await actions.replace_key(services, actor, connection_id, key)

        shown = SubmissionModals(
            waiting=views.trying("Replace key"),
            failed=lambda sentence: views.key_failed(connection_id, sentence),
            at_inputs=lambda error: _at(error, {SyncError: ConnectBlock.KEY}),
        )
        await respond_to_submission(work(), shown, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


def _form(services: Services, actor: Actor, view: Mapping[str, Any]) -> FormWithOptions:
    """Return the form that connects a project, as it is on the screen."""

    async def opened() -> dict[str, Any]:
        details = ConnectionForm.load(view).model_copy(update={"shows_options": True})
        connections, groups = await services.connections(actor), await services.group_choices(actor.team_id)
        return modals.connect_form(details, connections, groups)

    return FormWithOptions(view, opened)


def _key_problem(key: str) -> dict[str, str]:
    if key and key.isascii() and key.isprintable() and " " not in key:
        return {}
    return {ConnectBlock.KEY: "An API key is letters and digits without blanks. Copy it again from Iterable."}


def _at(error: SyncError, blocks: Mapping[type[SyncError], ConnectBlock]) -> dict[str, str]:
    """Return the input that an error concerns, by the first matching class. Other errors get a modal of their own."""
    if isinstance(error, AdminsOnlyError | AdminLookupError):
        return {}
    return next(({block: error.message} for kind, block in blocks.items() if isinstance(error, kind)), {})
