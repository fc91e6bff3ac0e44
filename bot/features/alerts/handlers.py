"""The buttons of an alert: acknowledge and snooze."""

import time
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.ids import AlertAction
from bot.services import Services
from bot.slack.actor import Actor, value_of
from bot.slack.reply import reply_privately
from bot.ui.blocks import text_message
from bot.ui.formatting import moment, person
from core.connections.permissions import may_start
from core.errors import InputError
from core.store import alerts, audit_log
from core.store.alerts import Alert

MUTE_S = 24 * 3600.0


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""

    @app.action(AlertAction.TAKE)
    async def take(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        alert = await _open(services, actor, value_of(body))
        async with services.engine.database.write() as db:
            is_first = await alerts.acknowledge(db, alert.id, actor.person)
            if is_first:
                await _record(db, audit_log.AuditAction.ALERT_TAKEN, actor, alert, {})
        services.wake()
        if not is_first:
            taken = await _open(services, actor, value_of(body))
            await _say(client, actor, f"{person(taken.acknowledged_by)} is on it already.")

    @app.action(AlertAction.MUTE)
    async def mute(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        actor = Actor.of(body)
        alert = await _open(services, actor, value_of(body))
        until = time.time() + MUTE_S
        async with services.engine.database.write() as db:
            await alerts.change(db, alert.id, snoozed_until=until)
            await _record(db, audit_log.AuditAction.ALERT_MUTED, actor, alert, {"until": until})
        services.wake()
        await _say(
            client, actor, f"You will hear nothing more of this until {moment(until)}; the message still follows."
        )


async def _open(services: Services, actor: Actor, alert_id: str) -> Alert:
    """Return an open alert. Raises InputError if it is closed, or if the person may not act on it."""
    async with services.engine.database.read() as db:
        alert = await alerts.by_id(db, int(alert_id))
    if alert is None:
        raise InputError("This alert no longer exists.")
    connection = await services.connection(actor.team_id, alert.connection_id)
    if not may_start(connection, actor.person):
        raise InputError(f"Only operators and approvers of {connection.label} can do this.")
    if alert.closed_at is not None:
        raise InputError("This works again, so there is nothing to do.")
    return alert


async def _record(db: Any, action: audit_log.AuditAction, actor: Actor, alert: Alert, after: dict[str, Any]) -> None:
    await audit_log.add(
        db, team_id=actor.team_id, actor=actor.person, action=action, subject=f"alert:{alert.id}", after=after
    )


async def _say(client: AsyncWebClient, actor: Actor, sentence: str) -> None:
    await reply_privately(client, actor, text_message(sentence))
