"""The listeners of API tokens, for admins: list, create, revoke."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.connect.commands import require_admin
from bot.features.ids import TokenAction, TokenBlock, TokenCallback
from bot.features.tokens import views
from bot.features.tokens.views import TokenForm
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import change_modal, open_modal
from bot.slack.submission import ModalResult, SubmissionModals, respond_to_submission
from core.connections import api_tokens as token_commands
from core.errors import ConflictError, NotFoundError, SyncError, ValidationError
from core.store import api_tokens

_WHAT = "manage API tokens"


def _at_inputs(error: SyncError) -> dict[str, str]:
    """Return at which input an error is shown."""
    return {TokenBlock.NAME: error.message} if isinstance(error, ConflictError | ValidationError) else {}


_SHOWN = SubmissionModals(waiting=views.working(), failed=views.failed, at_inputs=_at_inputs)


def register(app: AsyncApp, services: Services) -> None:
    """Register the listeners of this feature."""

    @app.action(TokenAction.OPEN)
    async def on_open(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await require_admin(services, client, actor, _WHAT)
        await open_modal(client, actor, await _list(services, actor))

    @app.action(TokenAction.ADD)
    async def on_add(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await require_admin(services, client, actor, _WHAT)
        await change_modal(client, actor, body["view"]["id"], views.token_form())

    @app.action(TokenAction.REVOKE)
    async def on_revoke(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await require_admin(services, client, actor, _WHAT)
        note = await _revoke(services, actor, int(value_of(body)))
        await change_modal(client, actor, body["view"]["id"], await _list(services, actor, note), note)

    @app.view(TokenCallback.CREATE)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        form, actor = TokenForm.read(body["view"]), Actor.of(body)
        work = _create(services, client, actor, form)
        await respond_to_submission(work, _SHOWN, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


async def _list(services: Services, actor: Actor, note: str = "") -> dict[str, Any]:
    async with services.engine.database.read() as db:
        tokens = await api_tokens.of_team(db, actor.team_id)
    return views.token_list(tokens, note)


async def _create(services: Services, client: AsyncWebClient, actor: Actor, form: TokenForm) -> ModalResult:
    """Create a token, and show it. Raises InputError if the person may not, or the name is taken.

    The sentence lacks the token: it becomes a message if Slack does not show the modal.
    """
    await require_admin(services, client, actor, _WHAT)
    token, secret = await token_commands.create(
        services.engine, form.name, form.scopes, by=actor.person, team_id=actor.team_id
    )
    return ModalResult(views.created(token, secret), views.not_shown(token))


async def _revoke(services: Services, actor: Actor, token_id: int) -> str:
    """Revoke a token of the workspace, and return what to say (mrkdwn)."""
    async with services.engine.database.read() as db:
        known = {token.id: token for token in await api_tokens.of_team(db, actor.team_id)}
    try:
        if token_id not in known:
            raise NotFoundError("There is no such token.")
        revoked = await token_commands.revoke(
            services.engine, known[token_id].name, by=actor.person, team_id=actor.team_id
        )
    except NotFoundError:
        return ":information_source: There is no such token. Someone may have revoked it just before."
    return views.revoked(revoked)
