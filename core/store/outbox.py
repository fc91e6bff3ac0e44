"""The outbox: an event is stored for each route that wants it, in the transaction that makes it happen.

So no event is lost, and none is sent about what was rolled back. Micro-batches of live audiences make no events: there
are thousands a day.
"""

import json
import secrets
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.events import (
    Event,
    EventAlert,
    EventChange,
    EventConnection,
    EventError,
    EventMapping,
    EventRun,
    EventType,
)
from core.models.reports import Report, ReportKind
from core.models.run import Run, RunStatus
from core.store import clock, connections, deliveries, mappings, routes
from core.store.alert_kinds import AlertKind
from core.store.deliveries import DeliveryStatus
from core.store.mappings import AudienceMapping
from core.store.routes import Route, RouteKind
from core.store.rows import by_key
from core.store.tables import alerts, runs

#: How long Slack may take to show an alert before the fallbacks get it, in seconds.
FALLBACK_AFTER_S = 300.0

_OF_STATUS = {
    RunStatus.NEEDS_APPROVAL: EventType.RUN_NEEDS_APPROVAL,
    RunStatus.SUCCEEDED: EventType.RUN_SUCCEEDED,
    RunStatus.FAILED: EventType.RUN_FAILED,
    RunStatus.CANCELLED: EventType.RUN_CANCELLED,
}


class _Parts(TypedDict, total=False):
    """What an event is about."""

    run: EventRun
    alert: EventAlert
    change: EventChange
    report: Report


async def run_has_status(db: AsyncConnection, run_id: str, status: RunStatus) -> None:
    """Store the event that a run has got this status, if it is one that there is an event for."""
    if status in _OF_STATUS:
        await _add_run_event(db, run_id, _OF_STATUS[status])


async def run_started(db: AsyncConnection, run_id: str) -> None:
    """Store the event that a run has started."""
    await _add_run_event(db, run_id, EventType.RUN_STARTED)


async def alert_opened(db: AsyncConnection, alert_id: int, show_at: float) -> None:
    """Store the event that an alert was opened, due at a time. Fallbacks get it later, if Slack does not show it."""
    alert = await _alert_row(db, alert_id)
    for route, event, now in await _events(
        db, EventType.ALERT_OPENED, alert["connection_id"], alert["mapping_id"], alert=_alert(alert)
    ):
        due_at = max(now, show_at) + (FALLBACK_AFTER_S if route.is_fallback else 0.0)
        await _add(db, route, event, subject=_key(alert), now=now, due_at=due_at, alert_id=alert_id)


async def alert_closed(db: AsyncConnection, alert_id: int) -> None:
    """Store the event that an alert was closed, for the routes that know of it."""
    known = await deliveries.close_alert(db, alert_id, await clock.now(db))
    alert = await _alert_row(db, alert_id)
    for route, event, now in await _events(
        db, EventType.ALERT_RESOLVED, alert["connection_id"], alert["mapping_id"], alert=_alert(alert)
    ):
        status = known.get(route.id, DeliveryStatus.SKIPPED if route.is_fallback else None)
        if status is not DeliveryStatus.SKIPPED:
            await _add(db, route, event, subject=_key(alert), now=now, due_at=now, alert_id=alert_id)


async def mapping_changed(db: AsyncConnection, mapping_id: int, action: str, by: str) -> None:
    """Store the event that a mapping was changed. There is none about a mapping that was removed."""
    mapping = await mappings.by_id(db, mapping_id)
    if mapping is None:
        return
    change = EventChange(action=action, by=by)
    for route, event, now in await _events(
        db, EventType.MAPPING_CHANGED, mapping.connection_id, mapping_id, change=change
    ):
        await _add(db, route, event, subject=f"mapping:{mapping_id}", now=now, due_at=now)


async def report_made(db: AsyncConnection, connection_id: int, report: Report) -> None:
    """Store the event that a report was made."""
    kind = EventType.REPORT_WEEKLY if report.kind is ReportKind.WEEKLY else EventType.REPORT_DAILY
    for route, event, now in await _events(db, kind, connection_id, None, report=report):
        await _add(db, route, event, subject=f"report:{connection_id}", now=now, due_at=now)


async def add_test(db: AsyncConnection, route: Route, claimed_until: float) -> str:
    """Store an event that tests a route, claimed by the caller until a time. Returns the id of its delivery."""
    now = await clock.now(db)
    event = Event(id=_new_id(), type=EventType.TEST, at=_time(now), workspace=route.team_id)
    return await _add(db, route, event, subject=event.id, now=now, due_at=claimed_until)


async def _add_run_event(db: AsyncConnection, run_id: str, kind: EventType) -> None:
    if not any(route.wants(kind) for route in await routes.everyone(db)):
        return
    row = (await db.execute(select(runs).where(runs.c.id == run_id))).mappings().one()
    run = Run.from_row(by_key(runs, row))
    if run.is_live or run.request.dry_run:
        return
    for route, event, now in await _events(db, kind, run.connection_id, run.mapping_id, run=_run(run)):
        await _add(db, route, event, subject=f"run:{run_id}", now=now, due_at=now)


async def _events(
    db: AsyncConnection, kind: EventType, connection_id: int, mapping_id: int | None, **parts: Unpack[_Parts]
) -> list[tuple[Route, Event, float]]:
    """Return the event for each route that wants it, and the time.

    Slack routes are left out: the message reconciler shows them the alerts.
    """
    wanting = [route for route in await routes.everyone(db) if route.kind is not RouteKind.SLACK and route.wants(kind)]
    connection = await connections.by_id(db, connection_id) if wanting else None
    if connection is None:
        return []
    concerned = [route for route in wanting if route.concerns(connection.team_id, connection_id)]
    if not concerned:
        return []
    mapping = await mappings.by_id(db, mapping_id) if mapping_id is not None else None
    now = await clock.now(db)
    event = Event(
        id=_new_id(),
        type=kind,
        at=_time(now),
        workspace=connection.team_id,
        connection=EventConnection(id=connection_id, name=connection.label),
        mapping=_mapping(mapping) if mapping is not None else None,
        **parts,
    )
    return [(route, event, now) for route in concerned]


async def _alert_row(db: AsyncConnection, alert_id: int) -> dict[str, Any]:
    return by_key(alerts, (await db.execute(select(alerts).where(alerts.c.id == alert_id))).mappings().one())


def _mapping(mapping: AudienceMapping) -> EventMapping:
    audience = mapping.audience_name or mapping.audience_id or ""
    return EventMapping(id=mapping.id, audience=audience, list_id=mapping.list_id, status=mapping.status.value)


def _run(run: Run) -> EventRun:
    return EventRun(
        id=run.id,
        mode=run.mode.value,
        started_by=run.started_by,
        created_at=_time(run.created_at),
        started_at=_time_or_none(run.started_at),
        finished_at=_time_or_none(run.finished_at),
        counters=run.counters.model_dump(),
        to_add=run.plan.to_add if run.plan else None,
        to_update=run.plan.to_update if run.plan else None,
        to_remove=run.plan.to_remove if run.plan else None,
        guards=[guard.name.value for guard in run.plan.guards] if run.plan else [],
        error=EventError(code=run.error_code or "error", message=run.error) if run.error else None,
    )


def _alert(alert: dict[str, Any]) -> EventAlert:
    return EventAlert(
        id=alert["id"],
        key=_key(alert),
        code=alert["code"],
        message=alert["message"],
        opened_at=_time(alert["opened_at"]),
        closed_at=_time_or_none(alert["closed_at"]),
        outcome=alert["outcome"],
    )


def _key(alert: dict[str, Any]) -> str:
    of_mapping = f"alert:{alert['connection_id']}:{alert['mapping_id'] or 'all'}"
    kind = AlertKind.of(alert["code"])
    return of_mapping if kind is AlertKind.FAILURE else f"{of_mapping}:{kind.value}"


async def _add(
    db: AsyncConnection,
    route: Route,
    event: Event,
    *,
    subject: str,
    now: float,
    due_at: float,
    alert_id: int | None = None,
) -> str:
    return await deliveries.add(
        db,
        route_id=route.id,
        event_type=event.type.value,
        event=json.dumps(event.model_dump(mode="json"), separators=(",", ":")),
        subject=subject,
        now=now,
        due_at=due_at,
        alert_id=alert_id,
    )


def _new_id() -> str:
    return f"evt_{secrets.token_hex(12)}"


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _time_or_none(at: float | None) -> datetime | None:
    return None if at is None else _time(at)
