"""The rate limit of an Iterable project, shared by all runs and processes: slots in which requests may be sent.

Each function is one statement, so it is atomic on both databases. Times are seconds since 1970 by the clock that
all share: the database's on PostgreSQL (machines may disagree), this machine's on SQLite.

PostgreSQL does not wait for its disk when slots are reserved, because other processes would wait for the row as long.
If the server crashes, slots of its last moments may be reserved again, and requests answered with 429
(postgresql.org/docs/current/wal-async-commit.html: recent transactions may be lost, and each may choose that risk).
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Float, Text, and_, bindparam, case, extract, func, literal, or_
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.tables import rate_limits

# The factor by which a 429 widens the slots: very little, as one may be an accident; more if the last one was less than
# AGAIN_S ago, as the rate is too high then. A burst within SETTLE_S counts once.
SLOWDOWN = 1.02
SLOWDOWN_AGAIN = 1.25
MAX_SLOWDOWN = 20.0
SETTLE_S = 5.0
AGAIN_S = 60.0
# How much of the slowdown is undone per second: from 1.25 to 1 in about four minutes.
RECOVERY_PER_S = 0.001
# No slot lies further ahead than this, in seconds (or ten intervals, for very low rates). One that does comes from a
# clock that has jumped back since, and is ignored.
HORIZON_S = 900.0


class Reservation(NamedTuple):
    """Slots: the first at `first`, the others `spacing` seconds apart; `now` is when they were reserved."""

    first: float
    spacing: float
    now: float


async def reserve(
    connection: AsyncConnection,
    project: str,
    interval: float,
    *,
    count: int = 1,
    late: float = 0.0,
    now: float | None = None,
) -> Reservation:
    """Reserve the next `count` slots, `interval` seconds apart (more while the project is slowed down).

    Unused slots are lost: the first slot is now, or later. `late` postpones it and all later ones, in seconds. `now`
    replaces the clock.
    """
    statements, clock = _statements_for(connection, now)
    values = {"of_project": project, "interval": interval, "count": float(count), "late": late, **clock}
    row = (await connection.execute(statements.reserve, values)).one()
    spacing = interval * row.slower
    return Reservation(row.next_at - count * spacing, spacing, row.at)


async def slow_down(connection: AsyncConnection, project: str, pause: float, *, now: float | None = None) -> None:
    """Record a 429: no slot for `pause` seconds, and wider slots after that."""
    statements, clock = _statements_for(connection, now)
    await connection.execute(statements.throttle, {"of_project": project, "pause": pause, **clock})


def _reserve(insert: Callable[..., Any], now: ColumnElement[float], *more: ColumnElement[Any]) -> Any:
    span = _number("interval") * _number("count")
    slower = _slower(now)
    start = _start(rate_limits.c.next_at + _number("late"), now, ahead=10.0 * span)
    # otherwise a clock that has jumped back would delay the recovery
    throttled_at = case((rate_limits.c.throttled_at > now, now), else_=rate_limits.c.throttled_at)
    return (
        insert(rate_limits)
        .values(rate_limit_key=_PROJECT, next_at=now + span, slowdown=1.0)
        .on_conflict_do_update(
            index_elements=["project"],
            set_={"next_at": start + span * slower, "throttled_at": throttled_at},
        )
        .returning(rate_limits.c.next_at, slower.label("slower"), now.label("at"), *more)
    )


def _throttle(insert: Callable[..., Any], now: ColumnElement[float]) -> Any:
    resumed = now + _number("pause")
    since = now - rate_limits.c.throttled_at
    is_news = or_(rate_limits.c.throttled_at.is_(None), since >= SETTLE_S, since < 0)
    factor = case((and_(since >= 0, since < AGAIN_S), SLOWDOWN_AGAIN), else_=SLOWDOWN)
    slower = _least(_slower(now) * factor, literal(MAX_SLOWDOWN, Float))
    return (
        insert(rate_limits)
        .values(rate_limit_key=_PROJECT, next_at=resumed, slowdown=SLOWDOWN, throttled_at=now)
        .on_conflict_do_update(
            index_elements=["project"],
            set_={
                "next_at": _greatest(_start(rate_limits.c.next_at, now), resumed),
                "slowdown": case((is_news, slower), else_=rate_limits.c.slowdown),
                "throttled_at": case((is_news, now), else_=rate_limits.c.throttled_at),
            },
        )
    )


def _start(
    next_at: ColumnElement[float], now: ColumnElement[float], ahead: ColumnElement[float] | float = 0.0
) -> ColumnElement[float]:
    """Return the stored next slot, or now if it has passed or is beyond the horizon."""
    horizon = now + _greatest(literal(HORIZON_S, Float), literal(0.0, Float) + ahead)
    return case((and_(next_at > now, next_at <= horizon), next_at), else_=now)


def slowdown_at(now: float) -> ColumnElement[float]:
    """Return how much slower than its limit a project is now (UTC seconds). What is stored is as of the last 429."""
    return _slower(literal(now, Float))


def _slower(now: ColumnElement[float]) -> ColumnElement[float]:
    """Return the remaining slowdown, by the time since the last 429; 1 if there was none."""
    since = _greatest(now - rate_limits.c.throttled_at, literal(0.0, Float))
    return _greatest(rate_limits.c.slowdown - RECOVERY_PER_S * since, literal(1.0, Float))


def _greatest(one: ColumnElement[float], other: ColumnElement[float]) -> ColumnElement[float]:
    return case((one > other, one), else_=other)


def _least(one: ColumnElement[float], other: ColumnElement[float]) -> ColumnElement[float]:
    return case((one < other, one), else_=other)


def _number(name: str) -> ColumnElement[float]:
    return bindparam(name, type_=Float)


class _Statements(NamedTuple):
    reserve: Any
    throttle: Any


def _statements(insert: Callable[..., Any], now: ColumnElement[float], *more: ColumnElement[Any]) -> _Statements:
    return _Statements(_reserve(insert, now, *more), _throttle(insert, now))


_PROJECT = bindparam("of_project", type_=Text)
_GIVEN_NOW = _number("now")
_SERVER_NOW = extract("epoch", func.clock_timestamp()).cast(Float)
# For the transaction only.
_WITHOUT_WAITING = func.set_config("synchronous_commit", "off", True).label("synchronous_commit")


@cache
def _on_sqlite() -> _Statements:
    from sqlalchemy.dialects.sqlite import insert  # a process needs one dialect, and each takes time

    return _statements(insert, _GIVEN_NOW)


@cache
def _on_postgresql(*, at_given_time: bool) -> _Statements:
    from sqlalchemy.dialects.postgresql import insert

    return _statements(insert, _GIVEN_NOW if at_given_time else _SERVER_NOW, _WITHOUT_WAITING)


def _statements_for(connection: AsyncConnection, now: float | None) -> tuple[_Statements, dict[str, float]]:
    if connection.dialect.name == "sqlite":
        return _on_sqlite(), {"now": time.time() if now is None else now}
    return _on_postgresql(at_given_time=now is not None), {} if now is None else {"now": now}
