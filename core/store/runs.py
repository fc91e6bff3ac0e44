"""Runs: the status, counters and worker of each."""

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Update, and_, bindparam, case, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import SyncError
from core.identity import ProjectType
from core.models.run import (
    PROCESS_DIED,
    CancelReason,
    Run,
    RunPhase,
    RunPlan,
    RunRequest,
    RunStatus,
    StopReason,
    SyncMode,
)
from core.store import clock, outbox
from core.store.mappings import AudienceMapping
from core.store.rows import by_key, plain
from core.store.slack_messages import DONE
from core.store.tables import batches, mappings, rejections, run_log, runs, slack_messages

# Without letters and digits that are easily confused.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
ID_LENGTH = 10
# Runs of a mapping that are looked through for the columns that were chosen, and for removals.
LOOKED_BACK = 20


class TakenOverError(SyncError):
    """Another process has taken over this run, so this process must not change it."""

    code = "taken_over"


def new_id() -> str:
    """Return a new run id, short enough to type."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(ID_LENGTH))


async def add(
    db: AsyncConnection,
    *,
    run_id: str,
    mapping: AudienceMapping,
    mode: str,
    user_id_field: str,
    rate: float,
    request: RunRequest,
    worker_id: str | None = None,
    started_by: str | None = None,
    channel: str | None = None,
    undo_of: str | None = None,
    is_live: bool = False,
) -> None:
    """Store a new run, queued. `worker_id` is the process that will execute it (None: any worker)."""
    # The runs of a list are ordered by this time, even if the clock was set back.
    of_list = (runs.c.connection_id == mapping.connection_id, runs.c.list_id == mapping.list_id)
    latest = (await db.execute(select(func.max(runs.c.created_at)).where(*of_list))).scalar_one()
    created_at = max(await clock.now(db), (latest or 0.0) + 0.001)
    await db.execute(
        insert(runs).values(
            id=run_id,
            mapping_id=mapping.id,
            connection_id=mapping.connection_id,
            list_id=mapping.list_id,
            status=RunStatus.QUEUED.value,
            mode=mode,
            user_id_field=user_id_field,
            rate=rate,
            audience=mapping.audience_name or mapping.audience_id,
            request=request.model_dump_json(),
            worker_id=worker_id,
            started_by=started_by,
            channel=channel,
            undo_of=undo_of,
            is_live=is_live,
            created_at=created_at,
        )
    )


# Statements that each run executes several times are built once: that takes longer than executing them.
_BY_ID = select(runs).where(runs.c.id == bindparam("wanted"))
_LOOKED_BACK = (
    select(runs.c.request, runs.c.plan, runs.c.status, runs.c.mode, runs.c.undo_of)
    .where(runs.c.mapping_id == bindparam("mapping"))
    .order_by(runs.c.created_at.desc())
    .limit(LOOKED_BACK)
)
_RESUMABLE = [status.value for status in RunStatus if status.is_resumable]
_UNFINISHED = select(runs).where(runs.c.status.in_(_RESUMABLE)).order_by(runs.c.created_at)
_UNFINISHED_OF_MAPPING = _UNFINISHED.where(runs.c.mapping_id == bindparam("mapping"))
_HOLDER = select(runs.c.worker_id, runs.c.status).where(runs.c.id == bindparam("wanted")).with_for_update()


async def by_id(db: AsyncConnection, run_id: str) -> Run | None:
    """Find a run by its id."""
    return _one((await db.execute(_BY_ID, {"wanted": run_id})).mappings().first())


async def queued_count(db: AsyncConnection, connection_id: int) -> int:
    """Return how many runs of a connection are queued."""
    waits = (runs.c.connection_id == connection_id, runs.c.status == RunStatus.QUEUED.value)
    return int((await db.execute(select(func.count()).select_from(runs).where(*waits))).scalar_one())


async def latest(db: AsyncConnection, limit: int) -> list[Run]:
    """Return the newest runs, newest first."""
    rows = (await db.execute(select(runs).order_by(runs.c.created_at.desc()).limit(limit))).mappings()
    return [run for row in rows if (run := _one(row))]


async def page(
    db: AsyncConnection,
    connection_ids: Sequence[int] | None,
    *,
    limit: int,
    status: RunStatus | None = None,
    mapping_id: int | None = None,
    since: float | None = None,
    before: tuple[float, str] | None = None,
) -> list[Run]:
    """Return the newest runs of these connections (None: of all), newest first.

    Only runs with this status, of this mapping, created at `since` (seconds since 1970) or later, and after `before` in
    the order of the list (the time of creation and the id of a run).
    """
    query = select(runs)
    if connection_ids is not None:
        query = query.where(runs.c.connection_id.in_(connection_ids))
    if status is not None:
        query = query.where(runs.c.status == status.value)
    if mapping_id is not None:
        query = query.where(runs.c.mapping_id == mapping_id)
    if since is not None:
        query = query.where(runs.c.created_at >= since)
    if before is not None:
        created_at, run_id = before
        is_older = runs.c.created_at < created_at
        query = query.where(or_(is_older, and_(runs.c.created_at == created_at, runs.c.id < run_id)))
    query = query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit)
    return [run for row in (await db.execute(query)).mappings() if (run := _one(row))]


async def unfinished(db: AsyncConnection, *, mapping_id: int | None = None) -> list[Run]:
    """Return the resumable runs (of one mapping or of all), oldest first."""
    query = _UNFINISHED if mapping_id is None else _UNFINISHED_OF_MAPPING
    rows = (await db.execute(query, {} if mapping_id is None else {"mapping": mapping_id})).mappings()
    return [run for row in rows if (run := _one(row))]


async def orphaned(db: AsyncConnection) -> list[Run]:
    """Return the runs whose process died during the run, oldest first; those that carry live changes are left out."""
    is_orphan = (runs.c.status == RunStatus.INTERRUPTED.value, runs.c.error_code == PROCESS_DIED)
    rows = (await db.execute(select(runs).where(*is_orphan).order_by(runs.c.created_at))).mappings()
    # said in SQL, SQLite would take the index of live runs, which tells it nothing
    return [run for row in rows if (run := _one(row)) and not run.is_live]


async def under_way(db: AsyncConnection, mapping_ids: Sequence[int]) -> list[Run]:
    """Return the runs of these mappings that are in progress or waiting, oldest first.

    Micro batches of live mappings are left out, unless they wait for a person.
    """
    states = [status.value for status in RunStatus if status.is_resumable and status is not RunStatus.FAILED]
    waits = runs.c.status == RunStatus.NEEDS_APPROVAL.value
    query = select(runs).where(runs.c.mapping_id.in_(mapping_ids), runs.c.status.in_(states), ~runs.c.is_live | waits)
    rows = (await db.execute(query.order_by(runs.c.created_at))).mappings()
    return [run for row in rows if (run := _one(row))]


async def latest_of(db: AsyncConnection, mapping_ids: Sequence[int], limit: int) -> list[Run]:
    """Return the newest runs of these mappings, newest first."""
    query = select(runs).where(runs.c.mapping_id.in_(mapping_ids)).order_by(runs.c.created_at.desc()).limit(limit)
    return [run for row in (await db.execute(query)).mappings() if (run := _one(row))]


async def columns_chosen_before(db: AsyncConnection, mapping_id: int) -> dict[str, str]:
    """Return the columns that a person chose last for a file of this mapping that could be planned."""
    rows = await db.execute(_LOOKED_BACK, {"mapping": mapping_id})
    chosen = (RunRequest.model_validate_json(row.request).columns for row in rows if row.plan)
    return next(filter(None, chosen), {})


@dataclass(frozen=True, slots=True)
class DeltaHistory:
    """The last files with additions and removals that a mapping was synced from.

    `files` is how many, `removals` how many removals they held, and `shape` the format of the newest ("": none).
    """

    files: int = 0
    removals: int = 0
    shape: str = ""


async def delta_history(db: AsyncConnection, mapping_id: int) -> DeltaHistory:
    """Return what the last runs of a mapping that succeeded found in files with additions and removals."""
    deltas = (RunStatus.SUCCEEDED.value, SyncMode.DELTA.value, None)
    plans = [
        RunPlan.model_validate_json(row.plan)
        for row in await db.execute(_LOOKED_BACK, {"mapping": mapping_id})
        if row.plan
        and (row.status, row.mode, row.undo_of) == deltas
        and not RunRequest.model_validate_json(row.request).live
    ]
    return DeltaHistory(len(plans), sum(plan.left for plan in plans), plans[0].shape) if plans else DeltaHistory()


async def last_of_each(db: AsyncConnection, mapping_ids: Sequence[int]) -> dict[int, Run]:
    """Return the newest run of each of these mappings to its current list, by mapping."""
    newer = runs.alias()
    newest = (  # connection and list are for the index
        select(newer.c.id)
        .where(
            newer.c.connection_id == mappings.c.connection_id,
            newer.c.list_id == mappings.c.list_id,
            newer.c.mapping_id == mappings.c.id,
        )
        .order_by(newer.c.created_at.desc())
        .limit(1)
        .correlate(mappings)
        .scalar_subquery()
    )
    query = select(runs).select_from(mappings.join(runs, runs.c.id == newest)).where(mappings.c.id.in_(mapping_ids))
    latest_runs = [run for row in (await db.execute(query)).mappings() if (run := _one(row))]
    return {run.mapping_id: run for run in latest_runs}


async def success_before(db: AsyncConnection, run: Run) -> Run | None:
    """Return the last run of the same mapping to the same list that succeeded before this one was created."""
    query = (  # connection and list are for the index
        select(runs)
        .where(
            runs.c.connection_id == run.connection_id,
            runs.c.list_id == run.list_id,
            runs.c.mapping_id == run.mapping_id,
            runs.c.status == RunStatus.SUCCEEDED.value,
            runs.c.created_at < run.created_at,
        )
        .order_by(runs.c.created_at.desc())
        .limit(1)
    )
    return _one((await db.execute(query)).mappings().first())


async def to_follow(db: AsyncConnection, ids: Collection[str]) -> list[Run]:
    """Return the unfinished runs that people started in Slack, and those with these ids, oldest first."""
    unended = [status.value for status in RunStatus if status.is_resumable and status is not RunStatus.FAILED]
    query = select(runs).where(
        runs.c.started_by.is_not(None), or_(runs.c.status.in_(unended), runs.c.id.in_(list(ids)))
    )
    rows = (await db.execute(query.order_by(runs.c.created_at))).mappings()
    return [run for row in rows if (run := _one(row))]


async def by_ids(db: AsyncConnection, ids: Collection[str]) -> dict[str, Run]:
    """Find runs by their ids."""
    rows = (await db.execute(select(runs).where(runs.c.id.in_(list(ids))))).mappings()
    return {run.id: run for row in rows if (run := _one(row))}


async def unshown(db: AsyncConnection, *, ended_after: float | None) -> list[str]:
    """Return the ids of runs that people started in Slack and whose final state Slack does not show yet.

    `ended_after`: only of runs that ended after a time (UTC seconds). Otherwise all runs are read.
    """
    shown = slack_messages.c.key == literal("run:") + runs.c.id
    query = (
        select(runs.c.id)
        .select_from(runs.outerjoin(slack_messages, shown))
        .where(runs.c.started_by.is_not(None), or_(slack_messages.c.key.is_(None), slack_messages.c.kind != DONE))
    )
    if ended_after is not None:
        # only runs whose details were deleted long ago are not in the index
        query = query.where(runs.c.finished_at > ended_after, ~runs.c.is_purged)
    return list((await db.execute(query)).scalars())


async def set_list_size(db: AsyncConnection, run_id: str, size: int) -> None:
    """Record the list size that Iterable reported after a run."""
    await change(db, run_id, list_size=size)


async def cancel_stopped(db: AsyncConnection, run: Run, reason: CancelReason, error: str) -> bool:
    """Cancel a stopped run, so that no process resumes it. Returns False if another process resumed it first."""
    now = await clock.now(db)
    result = await db.execute(
        update(runs)
        .where(runs.c.id == run.id, runs.c.attempt == run.attempt, runs.c.status == run.status.value)
        .values(
            status=RunStatus.CANCELLED.value,
            attempt=runs.c.attempt + 1,  # a concurrent `reopen` then fails
            finished_at=now,
            approval_wait_s=waited(now),
            error=error,
            error_code=None,
            cancel_reason=reason.value,
            is_log_due=is_logged(),
        )
    )
    if result.rowcount:
        await outbox.run_has_status(db, run.id, RunStatus.CANCELLED)
    return bool(result.rowcount)


async def begin(db: AsyncConnection, run: Run, project_type: ProjectType) -> None:
    """Record that the planning of a run begins. If it begins for the first time, the run starts now."""
    started_at = run.started_at or await clock.now(db)
    await change(
        db,
        run.id,
        status=RunStatus.PLANNING,
        started_at=started_at,
        project_type=project_type,
        phase=RunPhase.PLANNING,
        waiting_for_run_id=None,
    )
    if run.started_at is None:
        await outbox.run_started(db, run.id)


async def lock(db: AsyncConnection, run_id: str) -> Run | None:
    """Find a run by its id, and lock it until the transaction ends."""
    return _one((await db.execute(select(runs).where(runs.c.id == run_id).with_for_update())).mappings().first())


async def due_for_retry(db: AsyncConnection, now: float) -> list[Run]:
    """Return the failed runs that are to be retried without a person by now, the longest overdue first."""
    query = select(runs).where(runs.c.retry_at <= now).order_by(runs.c.retry_at)
    return [run for row in (await db.execute(query)).mappings() if (run := _one(row))]


async def retry_failed(
    db: AsyncConnection,
    codes: Collection[str],
    *,
    mapping_id: int | None = None,
    connection_id: int | None = None,
    after_s: float = 0.0,
) -> None:
    """Have the newest run of a mapping, or of each of a connection's, retried now if it failed with one of these codes.

    Left out are runs that failed less than `after_s` seconds ago, runs of the command line, and those that carry live
    changes.
    """
    now = await clock.now(db)
    newer = runs.alias()
    is_later = (newer.c.mapping_id == runs.c.mapping_id, newer.c.created_at > runs.c.created_at)
    query = update(runs).where(
        runs.c.mapping_id == mapping_id if mapping_id is not None else runs.c.connection_id == connection_id,
        runs.c.status == RunStatus.FAILED.value,
        runs.c.error_code.in_(list(codes)),
        runs.c.finished_at <= now - after_s,
        runs.c.started_by.is_not(None),
        ~runs.c.is_live,
        ~select(newer.c.id).where(*is_later).correlate(runs).exists(),
    )
    await db.execute(query.values(retry_at=now))


async def failed_with(db: AsyncConnection, codes: Collection[str], *, since: float) -> list[Run]:
    """Return the newest run of each mapping that failed with one of these codes after a time (UTC seconds).

    Left out are runs of the command line, those that carry live changes, and those that are retried anyway.
    """
    newer = runs.alias()
    is_later = (newer.c.mapping_id == runs.c.mapping_id, newer.c.created_at > runs.c.created_at)
    query = select(runs).where(
        runs.c.status == RunStatus.FAILED.value,
        runs.c.error_code.in_(list(codes)),
        runs.c.finished_at > since,
        runs.c.started_by.is_not(None),
        runs.c.retry_at.is_(None),
        ~runs.c.is_live,
        ~select(newer.c.id).where(*is_later).correlate(runs).exists(),
    )
    return [run for row in (await db.execute(query)).mappings() if (run := _one(row))]


async def last_scheduled(db: AsyncConnection, mapping_id: int, prefix: str, limit: int) -> list[RunStatus]:
    """Return the statuses of the newest runs of a mapping whose starter begins with a prefix, newest first."""
    query = select(runs.c.status).where(runs.c.mapping_id == mapping_id, runs.c.started_by.startswith(prefix))
    newest = query.order_by(runs.c.created_at.desc()).limit(limit)
    return [RunStatus(status) for status in (await db.execute(newest)).scalars()]


async def active_undo_of(db: AsyncConnection, run_id: str) -> Run | None:
    """Find the unfinished undo of a run."""
    unfinished = [status.value for status in RunStatus if status.is_resumable]
    query = select(runs).where(runs.c.undo_of == run_id, runs.c.status.in_(unfinished)).limit(1)
    return _one((await db.execute(query)).mappings().first())


async def undo_candidates(
    db: AsyncConnection, connection_ids: Sequence[int], *, ended_after: float, limit: int
) -> list[Run]:
    """Return the newest runs of these connections that changed a list and can be undone, newest first.

    Active runs are left out, and runs that have an undo.
    """
    active = [status.value for status in RunStatus if status.is_active]
    other = runs.alias()
    lasting = [RunStatus.SUCCEEDED.value, *(status.value for status in RunStatus if status.is_resumable)]
    undone = select(other.c.id).where(other.c.undo_of == runs.c.id, other.c.status.in_(lasting)).exists()
    kept = select(batches.c.id).where(batches.c.run_id == runs.c.id, batches.c.status.in_(["done", "sent"])).exists()
    query = (
        select(runs)
        .where(
            runs.c.connection_id.in_(connection_ids),
            runs.c.status.not_in(active),
            runs.c.finished_at > ended_after,
            runs.c.added + runs.c.updated + runs.c.removed > 0,
            kept,
            ~undone,
        )
        .order_by(runs.c.created_at.desc())
        .limit(limit)
    )
    return [run for row in (await db.execute(query)).mappings() if (run := _one(row))]


class RunUpdate(TypedDict, total=False):
    """Columns of a run that may be set. `request` and `plan` are JSON (core.models.run: RunRequest, RunPlan)."""

    status: RunStatus
    phase: RunPhase
    waiting_for_run_id: str | None
    mode: SyncMode
    project_type: ProjectType
    rate: float
    audience: str | ColumnElement[str | None] | None
    request: str
    plan: str | None
    ledger_revision: int | None
    stop_requested: StopReason | None
    started_at: float | None
    finished_at: float | None
    approval_wait_s: float | ColumnElement[float]
    error: str | None
    error_code: str | None
    retry_at: float | None
    auto_retries: int
    column_candidates: str | None
    cancel_reason: CancelReason | None
    list_size: int
    is_live: bool
    members: int
    left: int
    added: int
    updated: int
    removed: int
    unchanged: int
    duplicates: int
    rejected: int | ColumnElement[int]
    requests: int
    retries: int
    throttled: int
    is_log_due: bool | ColumnElement[bool]


async def change(
    db: AsyncConnection, run_id: str, *, if_worker: str | None = None, **values: Unpack[RunUpdate]
) -> None:
    """Set columns of a run. With `if_worker`, raises TakenOverError if the run belongs to another worker."""
    query = update(runs).where(runs.c.id == run_id).values(**plain(values))
    if if_worker is not None:
        query = query.where(runs.c.worker_id == if_worker)
    result = await db.execute(query)
    if if_worker is not None and not result.rowcount:
        raise TakenOverError(f"Run {run_id} was taken over by another process.")


async def assign_worker(db: AsyncConnection, run_id: str, worker: str) -> None:
    """Assign a run to this worker. A worker that is still executing it gets a TakenOverError."""
    await db.execute(update(runs).where(runs.c.id == run_id).values(worker_id=worker))


async def claim(db: AsyncConnection, run_id: str, attempt: int, worker: str) -> bool:
    """Claim an unclaimed run for this worker. Returns whether it was claimed."""
    result = await db.execute(
        update(runs)
        .where(runs.c.id == run_id, runs.c.attempt == attempt, runs.c.worker_id.is_(None))
        .values(worker_id=worker)
    )
    return bool(result.rowcount)


async def take(db: AsyncConnection, run_id: str, worker: str) -> None:
    """Assign a run without a worker to this one, and lock its row until the transaction ends.

    Raises TakenOverError if the run belongs to another worker, or this worker was declared dead: then any worker may
    resume it.
    """
    current = (await db.execute(_HOLDER, {"wanted": run_id})).first()
    if current is not None and current.worker_id == worker:
        return
    if current is None or current.worker_id is not None or current.status == RunStatus.INTERRUPTED.value:
        raise TakenOverError(f"Run {run_id} was taken over by another process.")
    await assign_worker(db, run_id, worker)


async def reopen(db: AsyncConnection, run: Run, worker: str | None) -> int | None:
    """Resume a stopped run as this worker's (None: queue it). Runs with a plan upload; others are planned.

    Returns the number of the new attempt, or None if another process resumed it first.
    """
    planned = runs.c.plan.is_not(None)
    status = case((planned, RunStatus.RUNNING.value), else_=RunStatus.QUEUED.value)
    result = await db.execute(
        update(runs)
        .where(runs.c.id == run.id, runs.c.attempt == run.attempt)
        .values(
            status=status,
            worker_id=worker,
            attempt=runs.c.attempt + 1,
            stop_requested=None,
            error=None,
            error_code=None,
            retry_at=None,
            finished_at=None,
            approval_wait_s=waited(await clock.now(db)),
        )
        .returning(runs.c.attempt)
    )
    attempt: int | None = result.scalar_one_or_none()
    return attempt


async def set_status(
    db: AsyncConnection,
    run_id: str,
    status: RunStatus,
    *,
    error: str | None = None,
    code: str | None = None,
    cancel_reason: CancelReason | None = None,
    column_candidates: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Set the status of a run, with its error and, if CANCELLED by no person, the reason.

    `column_candidates` are columns between which a person has to choose (see Run).
    """
    now = await clock.now(db)
    await change(
        db,
        run_id,
        status=status,
        finished_at=None if status.is_active else now,
        approval_wait_s=waited(now),
        error=error,
        error_code=code,
        retry_at=None,
        column_candidates=json.dumps(column_candidates) if column_candidates else None,
        cancel_reason=cancel_reason,
        is_log_due=is_logged(),
    )
    await outbox.run_has_status(db, run_id, status)


def is_logged() -> ColumnElement[bool]:
    """Return the condition that ended runs are written to a run log. A run that ends gets its value."""
    return select(run_log.c.id).exists()


async def set_plan(db: AsyncConnection, run_id: str, worker: str, plan: RunPlan, mode: SyncMode, revision: int) -> None:
    """Store the plan of a run. The counters start with the members that need no request."""
    await change(
        db,
        run_id,
        if_worker=worker,
        plan=plan.model_dump_json(),
        mode=mode,
        ledger_revision=revision,
        audience=func.coalesce(plan.audience_name or plan.audience_id, runs.c.audience),
        members=plan.members,
        left=plan.left,
        added=0,
        updated=0,
        removed=0,
        unchanged=plan.unchanged,
        duplicates=plan.duplicates,
        rejected=plan.rejected,
    )


async def count(db: AsyncConnection, run_id: str, worker: str, more: dict[str, int]) -> None:
    """Add to counters of a run. Raises TakenOverError if the run belongs to another worker."""
    names = tuple(name for name, number in more.items() if number)
    values = {"id_of_run": run_id, "its_worker": worker, **{f"more_{name}": more[name] for name in names}}
    if not (await db.execute(_counting(names), values)).rowcount:
        raise TakenOverError(f"Run {run_id} was taken over by another process.")


@lru_cache(maxsize=64)
def _counting(names: tuple[str, ...]) -> Update:
    """Return the statement that adds to these counters. It is cached: building it takes longer than executing it."""
    added: dict[str, Any] = {name: runs.c[name] + bindparam(f"more_{name}", type_=runs.c[name].type) for name in names}
    return (
        update(runs)
        .where(runs.c.id == bindparam("id_of_run"), runs.c.worker_id == bindparam("its_worker"))
        .values(added or {"worker_id": runs.c.worker_id})
    )


async def set_phase(
    db: AsyncConnection, run_id: str, phase: RunPhase, *, waiting_for_run_id: str | None = None
) -> None:
    """Record the phase of a run and, if it waits, the run that it waits for."""
    await change(db, run_id, phase=phase, waiting_for_run_id=waiting_for_run_id)


async def request_stop(db: AsyncConnection, run_id: str, reason: StopReason | None) -> None:
    """Ask the worker of a run to stop it; None withdraws the request."""
    await change(db, run_id, stop_requested=reason)


async def expired(
    db: AsyncConnection, changes_before: float, rejections_before: float, limit: int
) -> list[tuple[str, float]]:
    """Return final runs whose details are to be deleted, the oldest first: the id and the end of each.

    These have changes and ended before `changes_before`, or rejections and ended before `rejections_before`, or ended
    before both and have neither. Unanswered changes do not count: they are kept until another run has recorded their
    members as unconfirmed.
    """
    ended = [status.value for status in RunStatus if not status.is_active and not status.is_resumable]
    of_run = batches.c.run_id == runs.c.id
    query = select(runs.c.id, runs.c.finished_at).where(
        runs.c.finished_at < max(changes_before, rejections_before),
        ~runs.c.is_purged,
        func.coalesce(runs.c.status, "").in_(ended),  # in this form, SQLite does not take the index of the status
        or_(
            and_(
                runs.c.finished_at < min(changes_before, rejections_before),
                ~select(batches.c.id).where(of_run, batches.c.status == "sent").exists(),
            ),
            and_(
                runs.c.finished_at < changes_before,
                select(batches.c.id).where(of_run, batches.c.status != "sent").exists(),
            ),
            and_(
                runs.c.finished_at < rejections_before,
                select(rejections.c.id).where(rejections.c.run_id == runs.c.id).exists(),
            ),
        ),
    )
    rows = await db.execute(query.order_by(runs.c.finished_at).limit(limit))
    return [(run_id, finished_at) for run_id, finished_at in rows]


async def mark_purged(db: AsyncConnection, run_id: str) -> None:
    """Record that a run has no details any longer, unless some are kept: for longer, or because they are unanswered."""
    kept = [select(table.c.id).where(table.c.run_id == run_id).exists() for table in (batches, rejections)]
    await db.execute(update(runs).where(runs.c.id == run_id, ~or_(*kept)).values(is_purged=True))


def waited(now: float) -> ColumnElement[float]:
    """Return the total waiting time of a run that resumes at `now`, including the time since it stopped."""
    since = func.coalesce(runs.c.finished_at, now)
    return runs.c.approval_wait_s + case((runs.c.started_at.is_(None), 0.0), else_=now - since)


def _one(row: Any) -> Run | None:
    return None if row is None else Run.from_row(by_key(runs, row))
