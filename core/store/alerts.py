"""Alerts: failures that have not recovered; at most one of a kind is open for a mapping or for a connection."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Select, Text, bindparam, case, cast, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock, outbox
from core.store.alert_kinds import OF_ONE_CODE, RUN_RULES, AlertKind
from core.store.rows import by_key
from core.store.slack_messages import DONE
from core.store.tables import alerts, slack_messages

# How long a closed alert is still returned, so that its message shows the recovery, in seconds.
CLOSED_LATELY_S = 3600.0


class AlertOutcome(StrEnum):
    """Why an alert was closed."""

    RESOLVED = "recovered"
    """The failure has recovered."""
    SUPERSEDED = "replaced"
    """It fails in another way now; another alert is open."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as stored. `mapping_id` is None if it concerns the whole connection; `occurrences` counts the further
    runs that failed in the same way."""

    id: int
    connection_id: int
    mapping_id: int | None
    run_id: str | None
    code: str
    message: str
    occurrences: int
    opened_at: float
    closed_at: float | None
    outcome: AlertOutcome | None
    acknowledged_by: str | None
    snoozed_until: float | None
    show_at: float = 0.0


async def open_(
    db: AsyncConnection,
    *,
    connection_id: int,
    mapping_id: int | None,
    run_id: str | None,
    code: str,
    message: str,
    show_at: float = 0.0,
    snoozed_until: float | None = None,
) -> int:
    """Store a new alert, which is shown from a time on, and return its id."""
    result = await db.execute(
        insert(alerts)
        .values(
            connection_id=connection_id,
            mapping_id=mapping_id,
            run_id=run_id,
            code=code,
            message=message,
            opened_at=await clock.now(db),
            show_at=show_at,
            snoozed_until=snoozed_until,
        )
        .returning(alerts.c.id)
    )
    alert_id = int(result.scalar_one())
    await outbox.alert_opened(db, alert_id, show_at)
    return alert_id


async def by_id(db: AsyncConnection, alert_id: int) -> Alert | None:
    """Find an alert by its id."""
    row = (await db.execute(select(alerts).where(alerts.c.id == alert_id))).mappings().first()
    return None if row is None else _from_row(row)


async def open_of(db: AsyncConnection, connection_id: int, mapping_id: int | None, kind: AlertKind) -> Alert | None:
    """Find the open alert of a kind of a mapping, or (None) of the connection as a whole."""
    query = _open_of(kind, of_mapping=mapping_id is not None)
    row = (await db.execute(query, {"connection": connection_id, "mapping": mapping_id})).mappings().first()
    return None if row is None else _from_row(row)


@cache
def _open_of(kind: AlertKind, *, of_mapping: bool) -> Select[Any]:
    """Return that query. It is built once, because each run executes it several times."""
    return select(alerts).where(
        alerts.c.connection_id == bindparam("connection"),
        alerts.c.mapping_id == bindparam("mapping") if of_mapping else alerts.c.mapping_id.is_(None),
        alerts.c.closed_at.is_(None),
        _is_of(kind),
    )


async def is_failing(db: AsyncConnection, connection_id: int, mapping_id: int) -> bool:
    """Return whether an alert about a failure of a mapping, or of its whole connection, is open."""
    for of_mapping in (mapping_id, None):
        if await open_of(db, connection_id, of_mapping, AlertKind.FAILURE) is not None:
            return True
    return False


async def all_open_of(db: AsyncConnection, connection_id: int, mapping_id: int | None) -> list[Alert]:
    """Return the open alerts of a mapping, or (None) of the connection as a whole."""
    query = select(alerts).where(
        alerts.c.connection_id == connection_id, alerts.c.mapping_id == mapping_id, alerts.c.closed_at.is_(None)
    )
    return [_from_row(row) for row in (await db.execute(query)).mappings()]


def _is_of(kind: AlertKind) -> ColumnElement[bool]:
    if kind.codes is None:
        return alerts.c.code.not_in(RUN_RULES | OF_ONE_CODE)
    return alerts.c.code.in_(kind.codes)


_FAILURES = select(alerts).where(
    alerts.c.closed_at.is_(None),
    alerts.c.connection_id.in_(bindparam("connections", expanding=True)),
    _is_of(AlertKind.FAILURE),
)


def is_failing_in(connection_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that an alert of `failures_of` is open for a connection of the query around it."""
    of_connection = select(alerts.c.id).where(
        alerts.c.closed_at.is_(None), alerts.c.connection_id == connection_id, _is_of(AlertKind.FAILURE)
    )
    return of_connection.exists()


async def failures_of(db: AsyncConnection, connection_ids: Collection[int]) -> list[Alert]:
    """Return the open alerts about failures of these connections and of their mappings."""
    rows = (await db.execute(_FAILURES, {"connections": list(connection_ids)})).mappings()
    return [_from_row(row) for row in rows]


async def open_with_code(db: AsyncConnection, code: str) -> Alert | None:
    """Find an open alert with this code, of any connection."""
    query = select(alerts).where(alerts.c.code == code, alerts.c.closed_at.is_(None)).limit(1)
    row = (await db.execute(query)).mappings().first()
    return None if row is None else _from_row(row)


async def current(db: AsyncConnection) -> list[Alert]:
    """Return the alerts that are open or were closed lately, oldest first."""
    lately = clock.expression(db) - CLOSED_LATELY_S
    query = select(alerts).where(or_(alerts.c.closed_at.is_(None), alerts.c.closed_at > lately)).order_by(alerts.c.id)
    return [_from_row(row) for row in (await db.execute(query)).mappings()]


async def to_follow(db: AsyncConnection) -> list[Alert]:
    """Return the open alerts, and the closed ones whose message in Slack does not show that yet."""
    key = literal("alert:") + cast(alerts.c.id, Text)
    of_alert = or_(slack_messages.c.key == key, slack_messages.c.key == key + literal(":dm"))
    to_edit = select(slack_messages.c.key).where(of_alert, slack_messages.c.kind != DONE).exists()
    query = select(alerts).where(or_(alerts.c.closed_at.is_(None), to_edit)).order_by(alerts.c.id)
    return [_from_row(row) for row in (await db.execute(query)).mappings()]


async def last_shown_at(
    db: AsyncConnection, connection_id: int, mapping_id: int | None, kind: AlertKind, since: float
) -> float | None:
    """Return when an alert of a kind of a mapping was shown last (or will be), if that is later than `since`; else
    None."""
    shown_at = case((alerts.c.show_at > alerts.c.opened_at, alerts.c.show_at), else_=alerts.c.opened_at)
    query = select(func.max(shown_at)).where(
        alerts.c.connection_id == connection_id,
        alerts.c.mapping_id == mapping_id,
        _is_of(kind),
        shown_at > since,
        or_(alerts.c.closed_at.is_(None), alerts.c.closed_at >= shown_at),
    )
    last: float | None = (await db.execute(query)).scalar_one_or_none()
    return last


async def with_code(db: AsyncConnection, code: str) -> list[Alert]:
    """Return the open alerts with a code."""
    query = select(alerts).where(alerts.c.closed_at.is_(None), alerts.c.code == code)
    return [_from_row(row) for row in (await db.execute(query)).mappings()]


async def acknowledge(db: AsyncConnection, alert_id: int, by: str) -> bool:
    """Record who takes care of an alert. Returns False if another person does already."""
    query = update(alerts).where(alerts.c.id == alert_id, alerts.c.acknowledged_by.is_(None)).values(acknowledged_by=by)
    return bool((await db.execute(query)).rowcount)


async def close(db: AsyncConnection, alert_id: int, outcome: AlertOutcome) -> None:
    """Close an alert."""
    await change(db, alert_id, closed_at=await clock.now(db), outcome=outcome)
    await outbox.alert_closed(db, alert_id)


class AlertUpdate(TypedDict, total=False):
    """Columns of an alert that may be set."""

    run_id: str | None
    message: str
    occurrences: int
    closed_at: float | None
    outcome: AlertOutcome | None
    snoozed_until: float | None


async def change(db: AsyncConnection, alert_id: int, **values: Unpack[AlertUpdate]) -> None:
    """Set columns of an alert."""
    await db.execute(update(alerts).where(alerts.c.id == alert_id).values(**values))


def _from_row(row: Any) -> Alert:
    values = by_key(alerts, row)
    outcome = values["outcome"]
    return Alert(**{**values, "outcome": None if outcome is None else AlertOutcome(outcome)})
