"""The rate limit of an Iterable project, shared by all runs and processes: slots in which requests may be sent.

A transaction that calls one of these functions keeps others that concern the same project waiting until it ends. Times
are seconds since 1970 by the clock that all share: the database's on PostgreSQL (machines may disagree), this machine's
on SQLite.

PostgreSQL does not wait for its disk when slots are reserved, because other processes would wait for the row as long.
If the server crashes, slots of its last moments may be reserved again, and requests answered with 429
(postgresql.org/docs/current/wal-async-commit.html: recent transactions may be lost, and each may choose that risk).
"""

import math
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Text, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock
from core.store.permits import Permits, Use
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
# No slot lies further ahead than this, in seconds (or ten windows, for very low rates). One that does comes from a
# clock that has jumped back since, and is ignored.
HORIZON_S = 900.0


class Reservation(NamedTuple):
    """The slots of the next requests, when they were reserved, and what `time.monotonic` showed then."""

    slots: list[Use]
    now: float
    monotonic: float


async def reserve(
    connection: AsyncConnection,
    project: str,
    rate: float,
    *,
    margin: float = 0.0,
    count: int = 1,
    late: Iterable[Use] = (),
    now: float | None = None,
) -> Reservation:
    """Reserve the next `count` slots at a rate in requests per second, less while the project is slowed down.

    Windows are longer by the share `margin`. `late` are requests that left later than in their slots. `now` replaces
    the clock.
    """
    stored = await _read(connection, project, now)
    permits = Permits(rate, stored.used_at, stretch=(1.0 + margin) * stored.slowdown)
    permits.correct(late)
    horizon = stored.now + max(HORIZON_S, 10.0 * permits.window)
    permits.forget_after(horizon)
    resumes_at = stored.resumes_at if stored.resumes_at <= horizon else -math.inf
    slots = permits.take(count, max(stored.now, resumes_at), since=resumes_at)
    # a time of a 429 in the future would delay the recovery
    await _change(connection, project, used_at=permits.to_json(), throttled_at=stored.throttled_at)
    return Reservation(slots, stored.now, stored.monotonic)


async def slow_down(connection: AsyncConnection, project: str, pause: float, *, now: float | None = None) -> None:
    """Record a 429: no slot for `pause` seconds, and wider slots after that."""
    stored = await _read(connection, project, now)
    resumes_at = stored.now + pause
    if stored.resumes_at <= stored.now + HORIZON_S:
        resumes_at = max(resumes_at, stored.resumes_at)
    since = math.inf if stored.throttled_at is None else stored.now - stored.throttled_at
    if since < SETTLE_S:
        await _change(connection, project, resumes_at=resumes_at)
        return
    slower = stored.slowdown * (SLOWDOWN_AGAIN if since < AGAIN_S else SLOWDOWN)
    await _change(
        connection,
        project,
        resumes_at=resumes_at,
        slowdown=min(slower, MAX_SLOWDOWN),
        throttled_at=stored.now,
    )


def slowdown_left(slowdown: float, throttled_at: float | None, now: float) -> float:
    """Return how much slower than its limit a project is now, from what it was at the last 429; 1 if there was none."""
    if throttled_at is None:
        return 1.0
    return max(slowdown - RECOVERY_PER_S * max(now - throttled_at, 0.0), 1.0)


class _Stored(NamedTuple):
    """A project's row. `slowdown` is what is left of it `now`; `throttled_at` is not later."""

    used_at: str | None
    resumes_at: float
    slowdown: float
    throttled_at: float | None
    now: float
    monotonic: float


async def _read(connection: AsyncConnection, project: str, now: float | None) -> _Stored:
    """Read the row of a project, which no one else changes until the transaction ends, and create it if need be."""
    is_sqlite = connection.dialect.name == "sqlite"
    query = _ON_SQLITE if is_sqlite else _ON_POSTGRESQL
    of_project = {"of_project": project}
    row = (await connection.execute(query, of_project)).one_or_none()
    if row is None:
        await connection.execute(_CREATE, of_project)
        row = (await connection.execute(query, of_project)).one()
    monotonic = time.monotonic()
    if now is None:
        now = await clock.now(connection) if is_sqlite else float(row.now)
    throttled_at = None if row.throttled_at is None else min(row.throttled_at, now)
    slowdown = slowdown_left(row.slowdown, throttled_at, now)
    return _Stored(row.used_at, row.resumes_at, slowdown, throttled_at, now, monotonic)


async def _change(connection: AsyncConnection, project: str, **values: Any) -> None:
    await connection.execute(update(rate_limits).where(rate_limits.c.rate_limit_key == project).values(**values))


_ON_SQLITE = select(
    rate_limits.c.used_at, rate_limits.c.resumes_at, rate_limits.c.slowdown, rate_limits.c.throttled_at
).where(rate_limits.c.rate_limit_key == bindparam("of_project", type_=Text))
_ON_POSTGRESQL = _ON_SQLITE.add_columns(
    clock.SERVER_TIME.label("now"),
    func.set_config("synchronous_commit", "off", True),  # for the transaction only
).with_for_update()
_CREATE = text("INSERT INTO pace (project, next_at, slowdown) VALUES (:of_project, 0.0, 1.0) ON CONFLICT DO NOTHING")
