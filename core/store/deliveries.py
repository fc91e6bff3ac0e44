"""Deliveries: events on their way to routes. Each is sent until the receiver has taken it, for a day."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.events import EventType
from core.store import clock
from core.store.rows import by_key
from core.store.slack_messages import MessageStatus
from core.store.tables import deliveries, routes, slack_messages

#: How long a delivery is tried, in seconds.
TRIED_FOR_S = 24 * 3600.0
# How many old deliveries one statement deletes.
_PIECE = 1_000


class DeliveryStatus(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """It was tried for a day, or the receiver refuses it for good."""
    SKIPPED = "skipped"
    """It was not needed: Slack showed the alert."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as stored. Its id stays the same in all attempts and replays."""

    id: str
    route_id: int
    event_type: str
    event: str
    status: DeliveryStatus
    created_at: float
    next_at: float | None
    expires_at: float
    attempts: int
    status_code: int | None
    error: str | None
    delivered_at: float | None
    subject: str
    alert_id: int | None
    is_replayed: bool


async def add(
    db: AsyncConnection,
    *,
    route_id: int,
    event_type: str,
    event: str,
    subject: str,
    now: float,
    due_at: float,
    alert_id: int | None = None,
) -> str:
    """Store a new delivery and return its id."""
    delivery_id = f"dlv_{secrets.token_hex(12)}"
    await db.execute(
        insert(deliveries).values(
            id=delivery_id,
            route_id=route_id,
            event_type=event_type,
            event=event,
            status=DeliveryStatus.PENDING.value,
            created_at=now,
            next_at=due_at,
            expires_at=due_at + TRIED_FOR_S,
            subject=subject,
            alert_id=alert_id,
        )
    )
    return delivery_id


async def due(db: AsyncConnection, limit: int) -> list[Delivery]:
    """Return the deliveries that are due, the longest overdue first.

    A delivery waits for the earlier ones to the same route about the same subject, so that no all-clear comes before
    its alert. An alert waits for the fallbacks before its own: until each of them has failed to deliver it.
    """
    earlier = deliveries.alias()
    waits = select(earlier.c.id).where(
        earlier.c.route_id == deliveries.c.route_id,
        earlier.c.subject == deliveries.c.subject,
        earlier.c.status == DeliveryStatus.PENDING.value,
        earlier.c.number < deliveries.c.number,
    )
    is_fallback = select(routes.c.id).where(routes.c.id == deliveries.c.route_id, routes.c.is_fallback).exists()
    untried = select(earlier.c.id).where(
        earlier.c.alert_id == deliveries.c.alert_id,
        earlier.c.event_type == EventType.ALERT_OPENED.value,
        earlier.c.status == DeliveryStatus.PENDING.value,
        earlier.c.error.is_(None),
        earlier.c.number < deliveries.c.number,
        earlier.c.route_id.in_(select(routes.c.id).where(routes.c.is_fallback)),
    )
    is_next = or_(deliveries.c.event_type != EventType.ALERT_OPENED.value, ~is_fallback, ~untried.exists())
    query = select(deliveries).where(deliveries.c.next_at <= clock.expression(db), ~waits.exists(), is_next)
    return [_from_row(row) for row in (await db.execute(query.order_by(deliveries.c.next_at).limit(limit))).mappings()]


async def claim(db: AsyncConnection, delivery: Delivery, until: float) -> bool:
    """Claim a due delivery for one attempt until a time. Returns False if another process was faster."""
    query = update(deliveries).where(
        deliveries.c.id == delivery.id,
        deliveries.c.next_at == delivery.next_at,
        deliveries.c.attempts == delivery.attempts,
    )
    result = await db.execute(query.values(next_at=until, attempts=deliveries.c.attempts + 1))
    return bool(result.rowcount)


async def record(
    db: AsyncConnection,
    delivery_id: str,
    status: DeliveryStatus,
    *,
    next_at: float | None = None,
    status_code: int | None = None,
    error: str | None = None,
) -> None:
    """Record the end of an attempt. `next_at` is when the next one is (None: there is none)."""
    delivered_at = await clock.now(db) if status is DeliveryStatus.DELIVERED else None
    await db.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id)
        .values(status=status.value, next_at=next_at, status_code=status_code, error=error, delivered_at=delivered_at)
    )


async def is_shown(db: AsyncConnection, alert_id: int) -> bool:
    """Return whether Slack shows an alert, in a channel or to a person."""
    key = f"alert:{alert_id}"
    query = select(slack_messages.c.key).where(
        or_(slack_messages.c.key == key, slack_messages.c.key.startswith(f"{key}:", autoescape=True)),
        slack_messages.c.status == MessageStatus.POSTED.value,
    )
    return (await db.execute(query.limit(1))).first() is not None


async def fallbacks_with(db: AsyncConnection, alert_id: int) -> set[int]:
    """Return the ids of the fallbacks that have got an alert."""
    query = (
        select(deliveries.c.route_id)
        .join(routes, routes.c.id == deliveries.c.route_id)
        .where(
            deliveries.c.alert_id == alert_id,
            deliveries.c.event_type == EventType.ALERT_OPENED.value,
            deliveries.c.status == DeliveryStatus.DELIVERED.value,
            routes.c.is_fallback,
        )
    )
    return set((await db.execute(query)).scalars())


async def close_alert(db: AsyncConnection, alert_id: int, now: float) -> dict[int, DeliveryStatus]:
    """Skip the deliveries of an alert that are not due yet, and those that wait for another fallback. Returns what
    became of all of them, by route."""
    of_alert = (deliveries.c.alert_id == alert_id, deliveries.c.event_type == EventType.ALERT_OPENED.value)
    is_held = (deliveries.c.status == DeliveryStatus.PENDING.value, deliveries.c.attempts == 0)
    skipped = {"status": DeliveryStatus.SKIPPED.value, "next_at": None}
    fallbacks = select(routes.c.id).where(routes.c.is_fallback)
    is_early = or_(deliveries.c.next_at > now, deliveries.c.route_id.in_(fallbacks))
    await db.execute(update(deliveries).where(*of_alert, *is_held, is_early).values(skipped))
    query = select(deliveries.c.route_id, deliveries.c.status).where(*of_alert)
    return {route_id: DeliveryStatus(status) for route_id, status in await db.execute(query)}


async def by_id(db: AsyncConnection, delivery_id: str) -> Delivery | None:
    """Find a delivery by its id."""
    row = (await db.execute(select(deliveries).where(deliveries.c.id == delivery_id))).mappings().first()
    return None if row is None else _from_row(row)


async def latest(
    db: AsyncConnection, limit: int, *, route_id: int | None = None, status: DeliveryStatus | None = None
) -> list[Delivery]:
    """Return the newest deliveries, newest first: all, or those of a route or in a status."""
    query = select(deliveries).order_by(deliveries.c.number.desc()).limit(limit)
    if route_id is not None:
        query = query.where(deliveries.c.route_id == route_id)
    if status is not None:
        query = query.where(deliveries.c.status == status.value)
    return [_from_row(row) for row in (await db.execute(query)).mappings()]


async def counts(db: AsyncConnection) -> dict[tuple[int, DeliveryStatus], int]:
    """Return how many deliveries there are, by route and status."""
    query = select(deliveries.c.route_id, deliveries.c.status, func.count()).group_by(
        deliveries.c.route_id, deliveries.c.status
    )
    return {(route_id, DeliveryStatus(status)): number for route_id, status, number in await db.execute(query)}


async def replay(db: AsyncConnection, ids: Sequence[str]) -> int:
    """Make ended deliveries due again, for another day. Returns how many were."""
    now = await clock.now(db)
    query = update(deliveries).where(deliveries.c.id.in_(ids), deliveries.c.status != DeliveryStatus.PENDING.value)
    values = {"status": DeliveryStatus.PENDING.value, "next_at": now, "expires_at": now + TRIED_FOR_S, "attempts": 0}
    return int((await db.execute(query.values(values | {"is_replayed": True}))).rowcount)


async def drop_old(db: AsyncConnection, kept_s: float) -> None:
    """Delete some of the deliveries that are older than so many seconds."""
    old = select(deliveries.c.id).where(deliveries.c.created_at < await clock.now(db) - kept_s).limit(_PIECE)
    await db.execute(delete(deliveries).where(deliveries.c.id.in_(old)))


def _from_row(row: Any) -> Delivery:
    values = by_key(deliveries, row)
    del values["number"]
    return Delivery(**(values | {"status": DeliveryStatus(values["status"])}))
