"""Which queued run a worker takes up next: Iterable projects take turns."""

from functools import cache
from typing import Any

from sqlalchemy import Integer, Select, Text, bindparam, case, cast, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import Run, RunPhase, RunStatus
from core.store import clock, freezes
from core.store.mappings import FreezeHolds
from core.store.rows import by_key
from core.store.tables import connections, mappings, runs


async def claim(db: AsyncConnection, run: Run, worker: str) -> bool:
    """Claim an unclaimed run for this worker. Returns whether it was claimed."""
    result = await db.execute(
        update(runs)
        .where(runs.c.id == run.id, runs.c.attempt == run.attempt, runs.c.worker_id.is_(None))
        .values(worker_id=worker)
    )
    return bool(result.rowcount)


async def next_in_turn(db: AsyncConnection, worker: str, room: int, per_project: int) -> list[Run]:
    """Return up to `room` runs that a worker may take up, in the order in which it should.

    Iterable projects take turns: a run comes before another if fewer runs of its project are at work or before it, so
    many runs of one project do not keep the others waiting. Of one list there is at most one run, the oldest, and none
    while another run of the list is at work. A worker has up to `per_project` runs of a project. Runs that carry live
    changes are left out, and so are those whose mapping is still frozen.
    """
    values: dict[str, object] = {"its_id": worker, "per_project": per_project, "room": room}
    if db.dialect.name == "sqlite":
        values["now"] = await clock.now(db)
    result = await db.execute(_next_in_turn(db.dialect.name), values)
    return [Run.from_row(by_key(runs, row)) for row in result.mappings()]


@cache
def _next_in_turn(dialect: str) -> Select[Any]:
    """Build the query of `next_in_turn`, with the parameters `its_id`, `per_project`, `room` and (SQLite) `now`."""
    now = freezes.now_parameter() if dialect == "sqlite" else clock.SERVER_TIME
    own_project = literal("connection ") + cast(connections.c.id, Text)  # without a key of its own, it shares nothing
    project = func.coalesce(func.nullif(connections.c.rate_limit_key, ""), own_project)
    active = (
        select(runs.c.id, runs.c.connection_id, runs.c.list_id, runs.c.created_at, runs.c.is_live, runs.c.worker_id)
        .add_columns(runs.c.mapping_id, runs.c.phase)
        .add_columns(project.label("project"))
        .select_from(runs.join(connections, connections.c.id == runs.c.connection_id))
        .where(runs.c.status.in_([status.value for status in RunStatus if status.is_active]))
        .cte("active")
    )
    other = active.alias("other")
    is_busy = (
        select(other.c.id)
        .where(
            other.c.connection_id == active.c.connection_id,
            other.c.list_id == active.c.list_id,
            other.c.worker_id.is_not(None),
        )
        .exists()
    )
    by_list = func.row_number().over(
        partition_by=(active.c.connection_id, active.c.list_id), order_by=(active.c.created_at, active.c.id)
    )
    is_frozen = (
        select(mappings.c.id)
        .where(mappings.c.id == active.c.mapping_id, freezes.holds(FreezeHolds.BOTH, now))
        .correlate(active)
        .exists()
    )
    may_go = or_(active.c.phase != RunPhase.FROZEN.value, ~is_frozen)
    waits = (active.c.worker_id.is_(None), ~active.c.is_live, ~is_busy, may_go)
    waiting = select(active, by_list.label("place")).where(*waits).cte("waiting")
    at_work = (
        select(active.c.project, func.count().label("everywhere"))
        .add_columns(func.sum(case((active.c.worker_id == bindparam("its_id"), 1), else_=0)).label("here"))
        .where(active.c.worker_id.is_not(None), ~active.c.is_live)
        .group_by(active.c.project)
        .cte("at_work")
    )
    place = func.row_number().over(partition_by=waiting.c.project, order_by=(waiting.c.created_at, waiting.c.id))
    turns = (
        select(waiting.c.id)
        .add_columns((place + func.coalesce(at_work.c.everywhere, 0)).label("turn"))
        .add_columns((place + func.coalesce(at_work.c.here, 0)).label("turn_here"))
        .select_from(waiting.outerjoin(at_work, at_work.c.project == waiting.c.project))
        .where(waiting.c.place == 1)
        .cte("turns")
    )
    return (
        select(runs)
        .select_from(runs.join(turns, turns.c.id == runs.c.id))
        .where(turns.c.turn_here <= bindparam("per_project"))
        .order_by(turns.c.turn, runs.c.created_at, runs.c.id)
        .limit(bindparam("room", type_=Integer))
    )
