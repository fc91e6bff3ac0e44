"""Which queued runs are taken up next on SQLite: Iterable projects take turns.

The processes are few and on one machine, so each reads the active runs and sorts them in memory. On PostgreSQL there is
core/store/job_queue.py instead.
"""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass

from sqlalchemy import Text, cast, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import RunPhase, RunStatus
from core.store.tables import connections, runs

#: How many runs of an Iterable project, which share its rate limit, are executed at once by all processes.
RUNS_OF_PROJECT = 4


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """An active run. `list_key` is its list, `project` its Iterable project. `waits`: a worker may take it up."""

    id: str
    attempt: int
    list_key: tuple[int, int]
    project: str
    waits: bool
    is_live: bool = False


async def active(db: AsyncConnection) -> list[ActiveRun]:
    """Return the active runs, oldest first. Those that carry live changes or are frozen do not wait for a worker."""
    own_project = literal("connection ") + cast(connections.c.id, Text)  # without a key of its own, it shares nothing
    query = (
        select(runs.c.id, runs.c.attempt, runs.c.connection_id, runs.c.list_id, runs.c.worker_id)
        .add_columns(runs.c.is_live, runs.c.phase)
        .add_columns(func.coalesce(func.nullif(connections.c.rate_limit_key, ""), own_project).label("project"))
        .select_from(runs.join(connections, connections.c.id == runs.c.connection_id))
        .where(runs.c.status.in_([status.value for status in RunStatus if status.is_active]))
        .order_by(runs.c.created_at, runs.c.id)
    )
    return [
        ActiveRun(
            row.id,
            row.attempt,
            (row.connection_id, row.list_id),
            row.project,
            row.worker_id is None and not row.is_live and row.phase != RunPhase.FROZEN.value,
            row.is_live,
        )
        for row in await db.execute(query)
        if row.worker_id is not None or not row.is_live
    ]


def next_in_turn(runs: Sequence[ActiveRun], room: int, ending: Set[str] = frozenset()) -> list[ActiveRun]:
    """Return up to `room` of these runs (oldest first) that a worker may take up, in the order in which it should.

    A run comes before another if fewer runs of its project are at work or before it, so many runs of one project do not
    keep the others waiting. Of one list there is at most one run, and none while another run of the list is at work.
    Runs that are `ending` (their ids) are at work, but have made room for others of their project.
    """
    at_work = [run for run in runs if not run.waits]
    of_project = Counter(run.project for run in at_work if not run.is_live and run.id not in ending)
    busy_lists = {run.list_key for run in at_work}
    in_turn: list[tuple[int, ActiveRun]] = []
    for run in runs:
        if run.waits and run.list_key not in busy_lists:
            busy_lists.add(run.list_key)
            of_project[run.project] += 1
            if of_project[run.project] <= RUNS_OF_PROJECT:
                in_turn.append((of_project[run.project], run))
    return [run for _, run in sorted(in_turn, key=lambda each: each[0])][:room]
