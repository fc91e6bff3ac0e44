"""Totals for monitoring."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock
from core.store.mappings import MappingStatus
from core.store.rate_limits import slowdown_left
from core.store.run_totals import OUTCOMES, RunTotals
from core.store.tables import connections, inbox, mappings, rate_limits


@dataclass(frozen=True, slots=True)
class Metrics:
    """The totals. `oldest_age_s` is for how many seconds the oldest deliverable live change is pending."""

    runs: dict[str, int]
    members: dict[str, int]
    requests: dict[str, int]
    rate: float
    slowdown: float
    backlog: int
    waiting: int
    oldest_age_s: float


async def read(db: AsyncConnection, of_runs: RunTotals) -> Metrics:
    """Read the totals, except those of runs, which are given."""
    totals = of_runs.counted
    now = await clock.now(db)
    paced = await db.execute(
        select(connections.c.requests_per_second, rate_limits.c.slowdown, rate_limits.c.throttled_at)
        .outerjoin_from(connections, rate_limits, rate_limits.c.rate_limit_key == connections.c.rate_limit_key)
        .where(connections.c.requests_per_second > 0)
    )
    rate = sum(rate / slowdown_left(slowdown, throttled_at, now) for rate, slowdown, throttled_at in paced)
    throttled = await db.execute(
        select(rate_limits.c.slowdown, rate_limits.c.throttled_at).where(rate_limits.c.throttled_at.is_not(None))
    )
    slowdown = max((slowdown_left(*row, now) for row in throttled), default=1.0)
    backlog, oldest = await _waiting(db, mappings.c.status == MappingStatus.ACTIVE.value)
    waiting, _ = await _waiting(db, mappings.c.status != MappingStatus.ACTIVE.value)
    return Metrics(
        runs=of_runs.by_status,
        members={name: totals[name] for name in OUTCOMES},
        requests={
            "answered": totals["requests"] - totals["retries"] - totals["throttled"],
            "retried": totals["retries"],
            "throttled": totals["throttled"],
        },
        rate=float(rate),
        slowdown=slowdown,
        backlog=backlog,
        waiting=waiting,
        oldest_age_s=0.0 if oldest is None else max(0.0, now - oldest),
    )


async def _waiting(db: AsyncConnection, condition: ColumnElement[bool]) -> tuple[int, float | None]:
    query = (
        select(func.count(), func.min(inbox.c.pending_since))
        .select_from(inbox.join(mappings, mappings.c.id == inbox.c.mapping_id))
        .where(inbox.c.pending_since.is_not(None), condition)
    )
    size, oldest = (await db.execute(query)).one()
    return int(size), oldest
