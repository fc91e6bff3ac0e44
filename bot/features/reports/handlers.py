"""The button and the modal *Reports* of a connection, for admins."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.connect.commands import require_admin
from bot.features.ids import ReportAction, ReportCallback
from bot.features.reports import form
from bot.features.reports.form import ReportsForm
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import change_modal, open_modal
from bot.slack.submission import ModalResult, SubmissionModals, respond_to_submission
from bot.slack.time_zone import time_zone_of
from core.automation import reports as report_commands
from core.models.events import EventType
from core.models.reports import ReportKind
from core.store import reports, routes

_WHAT = "change reports"
_SHOWN = SubmissionModals(waiting=form.working(), failed=form.failed, at_inputs=lambda _: {})


def register(app: AsyncApp, services: Services) -> None:
    """Register the listeners of this feature."""

    @app.action(ReportAction.OPEN)
    async def on_open(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await open_modal(client, actor, await _modal(services, client, actor, int(value_of(body))))

    @app.action(ReportAction.SEND)
    async def on_send(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        await require_admin(services, client, actor, _WHAT)
        connection = await services.connection(actor, int(value_of(body)))
        await report_commands.send_now(
            services.engine, connection.id, ReportKind.WEEKLY, by=actor.person, team_id=actor.team_id
        )
        services.wake()
        async with services.engine.database.read() as db:
            settings = await reports.settings(db, connection.id)
        sentence = form.sent_sentence(connection, settings)
        await change_modal(client, actor, body["view"]["id"], form.shown(sentence), sentence)

    @app.view(ReportCallback.SETTINGS)
    async def on_submit(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        submitted, actor = ReportsForm.read(body["view"]), Actor.of(body)
        if problems := submitted.problems():
            await ack(response_action="errors", errors=problems)
            return
        work = _save(services, client, actor, submitted)
        await respond_to_submission(work, _SHOWN, ack=ack, client=client, actor=actor, view_id=body["view"]["id"])


async def _modal(services: Services, client: AsyncWebClient, actor: Actor, connection_id: int) -> dict[str, Any]:
    await require_admin(services, client, actor, _WHAT)
    connection = await services.connection(actor, connection_id)
    async with services.engine.database.read() as db:
        known = (await reports.settings_of(db, [connection_id])).get(connection_id)
        everyone = await routes.everyone(db)
    if known is None:  # the form proposes the time zone of the admin
        known = reports.ReportSettings(connection_id, time_zone=await time_zone_of(client, actor))
    wanting = [
        route.name
        for route in everyone
        if route.concerns(connection.team_id, connection_id) and route.wants(EventType.REPORT_WEEKLY)
    ]
    return form.reports_modal(connection, known, wanting)


async def _save(services: Services, client: AsyncWebClient, actor: Actor, submitted: ReportsForm) -> ModalResult:
    """Save when a connection gets reports. Raises InputError if the person may not."""
    await require_admin(services, client, actor, _WHAT)
    await services.connection(actor, submitted.settings.connection_id)
    stored = await report_commands.set_reports(
        services.engine, submitted.settings, by=actor.person, team_id=actor.team_id
    )
    sentence = form.saved_sentence(stored)
    return ModalResult(form.shown(sentence), sentence)
