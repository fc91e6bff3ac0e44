"""The buttons of an alert: acknowledge and snooze."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.alerts import rules_handlers
from bot.features.ids import AlertAction
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import reply_privately
from bot.ui.blocks import text_message
from bot.ui.formatting import moment, person
from core import alerting
from core.connections.permissions import may_start
from core.errors import ConflictError, PermissionDeniedError
from core.store.alerts import Alert


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""

    rules_handlers.register(app, services)

    @app.action(AlertAction.TAKE)
    async def take(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        alert = await _open(services, actor, value_of(body))
        async with services.engine.database.write() as db:
            is_first = await alerting.acknowledge(db, alert.id, by=actor.person, team_id=actor.team_id)
        services.wake()
        if not is_first:
            current = await _open(services, actor, value_of(body))
            await _say(client, actor, f"{person(current.acknowledged_by)} is on it already.")

    @app.action(AlertAction.MUTE)
    async def mute(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        alert = await _open(services, actor, value_of(body))
        async with services.engine.database.write() as db:
            until = await alerting.snooze(db, alert.id, by=actor.person, team_id=actor.team_id)
        services.wake()
        await _say(
            client,
            actor,
            f"Muted for everyone until {moment(until)}, or until it recovers. The message keeps updating.",
        )

    @app.action(AlertAction.UNMUTE)
    async def unmute(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        alert = await _open(services, actor, value_of(body))
        async with services.engine.database.write() as db:
            await alerting.unsnooze(db, alert.id, by=actor.person, team_id=actor.team_id)
        services.wake()
        await _say(client, actor, "No longer muted.")


async def _open(services: Services, actor: Actor, alert_id: str) -> Alert:
    """Return an open alert. Raises InputError if it is closed, or if the person may not act on it."""
    connection, alert = await services.alert(actor, int(alert_id))
    if not may_start(connection, actor.person):
        raise PermissionDeniedError(f"Only operators and approvers of {connection.label} can do this.")
    if alert.closed_at is not None:
        raise ConflictError("This has recovered. There is nothing left to do.")
    return alert


async def _say(client: AsyncWebClient, actor: Actor, sentence: str) -> None:
    await reply_privately(client, actor, text_message(sentence))
