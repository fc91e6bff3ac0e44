"""The modal that gives a connection access to mParticle's audiences. For admins."""

from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.connect import mparticle_views as views
from bot.features.connect.commands import AdminsOnlyError, for_admins, require_admin
from bot.features.connect.mparticle_form import MParticleForm
from bot.features.ids import ConnectAction, ConnectBlock, ConnectCallback
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.admins import AdminLookupError
from bot.slack.reply import NOT_CHANGED, change_modal, open_modal
from bot.slack.submission import ModalResult, SubmissionModals, respond_to_submission
from bot.ui.modal_state import ViewInputs
from core.connections.mparticle import connect_mparticle, disconnect_mparticle
from core.errors import SyncError
from core.mparticle.errors import AccountAccessError, MParticleCredentialsError
from core.store import mparticle_accounts

_ACTION = "connect mParticle"


def register(app: AsyncApp, services: Services) -> None:
    """Register the listeners of this modal."""

    @app.action(ConnectAction.MPARTICLE)
    async def on_open(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        connection = await for_admins(services, client, actor, int(value_of(body)), _ACTION)
        if connection is None:
            return
        async with services.engine.database.read() as db:
            account = await mparticle_accounts.of_connection(db, connection.id)
        details = MParticleForm.of(connection.id, account, connection.mparticle_account_id)
        await open_modal(client, actor, views.mparticle_form(details, connection))

    @app.action(ConnectAction.MPARTICLE_AGAIN)
    async def on_again(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor, details = Actor.of(body), MParticleForm.load(body["view"])
        await require_admin(services, client, actor, _ACTION)
        connection = await services.connection(actor, details.connection_id)
        form = views.mparticle_form(details, connection)
        await change_modal(client, actor, body["view"]["id"], form, NOT_CHANGED)

    @app.action(ConnectAction.MPARTICLE_REMOVE)
    async def on_remove(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await require_admin(services, client, actor, _ACTION)
        connection = await services.connection(actor, int(value_of(body)))
        await disconnect_mparticle(services.engine, connection, by=actor.person, team_id=actor.team_id)
        services.audiences.forget(connection)
        services.wake()
        text = views.removed_sentence(connection)
        await change_modal(client, actor, body["view"]["id"], views.removed(connection), text)

    @app.view(ConnectCallback.MPARTICLE)
    async def on_save(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        details = MParticleForm.read(body["view"])
        secret = ViewInputs(body["view"]).text(ConnectBlock.MPARTICLE_SECRET)
        if problems := details.problems(secret):
            await ack(response_action="errors", errors=problems)
            return
        actor = Actor.of(body)
        shown = SubmissionModals(
            waiting=views.trying(),
            failed=lambda sentence: views.failed(details, sentence),
            at_inputs=_at_input,
        )
        work = _save(services, client, actor, details, secret)
        await respond_to_submission(work, shown, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


async def _save(
    services: Services, client: AsyncWebClient, actor: Actor, details: MParticleForm, secret: str
) -> ModalResult:
    await require_admin(services, client, actor, _ACTION)
    connection = await services.connection(actor, details.connection_id)
    connected = await connect_mparticle(
        services.engine,
        connection,
        client_id=details.client_id,
        client_secret=secret,
        account_id=details.account_id,
        pod=details.pod,
        by=actor.person,
        team_id=actor.team_id,
    )
    services.audiences.forget(connection)
    services.wake()
    return ModalResult(views.saved(connection, connected), views.saved_sentence(connection, connected))


def _at_input(error: SyncError) -> dict[str, str]:
    """Return the input that an error concerns. Other errors get a modal of their own."""
    if isinstance(error, AdminsOnlyError | AdminLookupError):
        return {}
    if isinstance(error, MParticleCredentialsError):
        return {ConnectBlock.MPARTICLE_SECRET: error.message}
    return {ConnectBlock.MPARTICLE_ACCOUNT: error.message} if isinstance(error, AccountAccessError) else {}
