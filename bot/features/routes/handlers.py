"""The listeners of alert routes, for admins: list, add, test, remove."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.connect.commands import require_admin
from bot.features.ids import RouteAction, RouteBlock, RouteCallback
from bot.features.routes import views
from bot.features.routes.views import RouteForm, RoutesMetadata
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.api_errors import ERRORS, classify
from bot.slack.reply import change_modal, open_modal
from bot.slack.submission import ModalResult, SubmissionModals, respond_to_submission
from bot.ui.formatting import escape
from core.errors import ConflictError, SyncError, ValidationError
from core.notifications import routes as route_commands
from core.store.connections import Connection
from core.store.routes import Route, RouteKind

_WHAT = "change alert routes"
# Slack's words for a channel that the app is not in: https://docs.slack.dev/reference/methods/chat.postMessage
_OUTSIDE = ("not_in_channel", "channel_not_found")
_TEST = "Test of Iterable Sync: alerts will appear here."


def _at_inputs(error: SyncError) -> dict[str, str]:
    """Return at which input an error is shown."""
    if isinstance(error, ConflictError):
        return {RouteBlock.NAME: error.message}
    is_key = isinstance(error, ValidationError) and "PagerDuty" in error.message
    return {RouteBlock.KEY: error.message} if is_key else {}


_SHOWN = SubmissionModals(waiting=views.working(), failed=views.failed, at_inputs=_at_inputs)


def register(app: AsyncApp, services: Services) -> None:
    """Register the listeners of this feature."""

    @app.action(RouteAction.OPEN)
    async def on_open(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        connection = await _connection(services, client, actor, int(value_of(body)))
        await open_modal(client, actor, await _list(services, actor, connection))

    @app.action(RouteAction.ADD)
    async def on_add(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        connection = await _connection(services, client, actor, int(value_of(body)))
        await change_modal(client, actor, body["view"]["id"], views.add_form(connection))

    @app.action(RouteAction.TEST)
    async def on_test(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        connection = await _connection(services, client, actor, RoutesMetadata.load(body["view"]).connection_id)
        (route,) = await route_commands.visible(services.engine, services.tenant(actor), int(value_of(body)))
        note = views.tested_sentence(route, await _test(services, client, actor, route))
        await change_modal(client, actor, body["view"]["id"], await _list(services, actor, connection, note), note)

    @app.action(RouteAction.REMOVE)
    async def on_remove(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        connection = await _connection(services, client, actor, RoutesMetadata.load(body["view"]).connection_id)
        (route,) = await route_commands.visible(services.engine, services.tenant(actor), int(value_of(body)))
        await route_commands.remove_own(services.engine, route, by=actor.person, team_id=actor.team_id)
        services.wake()
        await change_modal(client, actor, body["view"]["id"], await _list(services, actor, connection))

    @app.view(RouteCallback.ADD)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        form, actor = RouteForm.read(body["view"]), Actor.of(body)
        if problems := form.problems():
            await ack(response_action="errors", errors=problems)
            return
        work = _add(services, client, actor, form)
        await respond_to_submission(work, _SHOWN, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


async def _connection(services: Services, client: AsyncWebClient, actor: Actor, connection_id: int) -> Connection:
    """Return a connection for an admin. Raises InputError if the person is none, or does not see it."""
    await require_admin(services, client, actor, _WHAT)
    return await services.connection(actor, connection_id)


async def _list(services: Services, actor: Actor, connection: Connection, note: str = "") -> dict[str, Any]:
    seen = await route_commands.visible(services.engine, services.tenant(actor))
    concerned = [route for route in seen if route.concerns(connection.team_id, connection.id)]
    return views.routes_modal(connection, concerned, actor.team_id, note)


async def _add(services: Services, client: AsyncWebClient, actor: Actor, form: RouteForm) -> ModalResult:
    """Add a route, and show the list. Raises InputError if the person may not, or an option is wrong."""
    connection = await _connection(services, client, actor, form.connection_id)
    route, _ = await route_commands.add_own(services.engine, form.options, by=actor.person, team_id=actor.team_id)
    services.wake()
    note = f":white_check_mark: Added *{escape(route.name)}*. Test it below."
    return ModalResult(await _list(services, actor, connection, note), note)


async def _test(services: Services, client: AsyncWebClient, actor: Actor, route: Route) -> str | None:
    """Send a test to a route. Returns why it failed, or None."""
    if route.kind is not RouteKind.SLACK:
        answer = await route_commands.test_route(services.engine, route, by=actor.person, team_id=actor.team_id)
        return None if answer.is_taken else answer.error or "it did not take the test"
    await route_commands.record_test(services.engine, route, by=actor.person, team_id=actor.team_id)
    try:
        await client.chat_postMessage(channel=route.target, text=_TEST)
    except ERRORS as error:
        word = classify(error).word
        return views.NOT_IN_CHANNEL if word in _OUTSIDE else f"Slack answered {word}"
    return None
