"""Runs: where each is, what it counted, and whose it is."""

import secrets
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Update, bindparam, case, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import SyncError
from core.models.run import CancelReason, Run, RunPhase, RunPlan, RunRequest, RunStatus, StopReason, SyncMode
from core.store import clock
from core.store.mappings import AudienceMapping
from core.store.rows import by_key, plain
from core.store.slack_messages import DONE
from core.store.tables import batches, mappings, rejections, runs, slack_messages

# No letter or digit that a person could take for another.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
ID_LENGTH = 10
# Runs of a mapping that are looked through for the columns that were chosen.
LOOKED_BACK = 20


class TakenOverError(SyncError):
    """Another process has taken this run over; this one must stop touching it."""

    code = "taken_over"


def new_id() -> str:
    """Return an id for a run: short enough to type."""
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
) -> None:
    """Store a new run, queued. `worker_id` is the process that is going to execute it (None: whoever takes it)."""
    # Runs of a list come in the order of this time, also where the clock has been put back.
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
            created_at=created_at,
        )
    )


async def by_id(db: AsyncConnection, run_id: str) -> Run | None:
    """Find a run by its id."""
    return _one((await db.execute(select(runs).where(runs.c.id == run_id))).mappings().first())


async def queued_count(db: AsyncConnection, connection_id: int) -> int:
    """Return how many runs of a connection wait to be taken up."""
    waits = (runs.c.connection_id == connection_id, runs.c.status == RunStatus.QUEUED.value)
    return int((await db.execute(select(func.count()).select_from(runs).where(*waits))).scalar_one())


async def latest(db: AsyncConnection, limit: int) -> list[Run]:
    """Return the newest runs, newest first."""
    rows = (await db.execute(select(runs).order_by(runs.c.created_at.desc()).limit(limit))).mappings()
    return [run for row in rows if (run := _one(row))]


async def unfinished(db: AsyncConnection, *, mapping_id: int | None = None) -> list[Run]:
    """Return the runs that can be taken up again (of one mapping or of all), oldest first."""
    resumable = [status.value for status in RunStatus if status.is_resumable]
    query = select(runs).where(runs.c.status.in_(resumable)).order_by(runs.c.created_at)
    if mapping_id is not None:
        query = query.where(runs.c.mapping_id == mapping_id)
    return [run for row in (await db.execute(query)).mappings() if (run := _one(row))]


async def under_way(db: AsyncConnection, mapping_ids: Sequence[int]) -> list[Run]:
    """Return the runs of these mappings that have not come to an end (also those that wait), oldest first.

    What live mappings send by themselves is left out, unless it waits for a person.
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
    for run in await latest_of(db, [mapping_id], LOOKED_BACK):
        if run.plan is not None and run.request.columns:
            return run.request.columns
    return {}


async def last_of_each(db: AsyncConnection, mapping_ids: Sequence[int]) -> dict[int, Run]:
    """Return the newest run of each of these mappings (to the list that it has now), by mapping."""
    each = runs.alias()
    newest = (  # by connection and list, too: there is an index on these
        select(each.c.id)
        .where(
            each.c.connection_id == mappings.c.connection_id,
            each.c.list_id == mappings.c.list_id,
            each.c.mapping_id == mappings.c.id,
        )
        .order_by(each.c.created_at.desc())
        .limit(1)
        .correlate(mappings)
        .scalar_subquery()
    )
    query = select(runs).select_from(mappings.join(runs, runs.c.id == newest)).where(mappings.c.id.in_(mapping_ids))
    found = [run for row in (await db.execute(query)).mappings() if (run := _one(row))]
    return {run.mapping_id: run for run in found}


async def to_follow(db: AsyncConnection, ids: Collection[str]) -> list[Run]:
    """Return the runs that people started in Slack and that have not ended, and those with these ids; oldest first."""
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


async def unshown(db: AsyncConnection) -> list[str]:
    """Return the ids of runs that people started in Slack, and whose last state Slack does not show (yet)."""
    shown = slack_messages.c.key == literal("run:") + runs.c.id
    query = (
        select(runs.c.id)
        .select_from(runs.outerjoin(slack_messages, shown))
        .where(runs.c.started_by.is_not(None), or_(slack_messages.c.key.is_(None), slack_messages.c.kind != DONE))
    )
    return list((await db.execute(query)).scalars())


async def set_list_size(db: AsyncConnection, run_id: str, size: int) -> None:
    """Record how many people Iterable said were on the list after a run."""
    await change(db, run_id, list_size=size)


async def waiting(db: AsyncConnection) -> list[Run]:
    """Return the runs that are to be executed and that nobody has in hand, oldest first, at most one for each list.

    Those of a list of which another run is in hand are left out, and those that carry live changes.
    """
    active = [status.value for status in RunStatus if status.is_active]
    query = select(runs).where(runs.c.status.in_(active)).order_by(runs.c.created_at)
    found = [run for row in (await db.execute(query)).mappings() if (run := _one(row))]
    busy = {(run.connection_id, run.list_id) for run in found if run.worker_id is not None}
    free: dict[tuple[int, int], Run] = {}
    for run in found:
        if run.worker_id is None and not run.is_live and (run.connection_id, run.list_id) not in busy:
            free.setdefault((run.connection_id, run.list_id), run)
    return list(free.values())


async def claim(db: AsyncConnection, this: Run, worker: str) -> bool:
    """Make a run that nobody has in hand this worker's. Returns whether it is now."""
    result = await db.execute(
        update(runs)
        .where(runs.c.id == this.id, runs.c.attempt == this.attempt, runs.c.worker_id.is_(None))
        .values(worker_id=worker)
    )
    return bool(result.rowcount)


async def cancel_stopped(db: AsyncConnection, this: Run, reason: CancelReason, error: str) -> bool:
    """Cancel a run that stopped, so that nobody resumes it. Returns False if another process resumed it first."""
    now = await clock.now(db)
    result = await db.execute(
        update(runs)
        .where(runs.c.id == this.id, runs.c.attempt == this.attempt, runs.c.status == this.status.value)
        .values(
            status=RunStatus.CANCELLED.value,
            attempt=runs.c.attempt + 1,  # who is about to reopen it finds another
            finished_at=now,
            approval_wait_s=waited(now),
            error=error,
            error_code=None,
            cancel_reason=reason.value,
        )
    )
    return bool(result.rowcount)


async def lock(db: AsyncConnection, run_id: str) -> Run | None:
    """Find a run by its id, and keep others from doing the same until the transaction ends."""
    return _one((await db.execute(select(runs).where(runs.c.id == run_id).with_for_update())).mappings().first())


async def active_undo_of(db: AsyncConnection, run_id: str) -> Run | None:
    """Find a run that is to take back what this one did, and has not ended."""
    unfinished = [status.value for status in RunStatus if status.is_resumable]
    query = select(runs).where(runs.c.undo_of == run_id, runs.c.status.in_(unfinished)).limit(1)
    return _one((await db.execute(query)).mappings().first())


async def undo_candidates(
    db: AsyncConnection, connection_ids: Sequence[int], *, ended_after: float, limit: int
) -> list[Run]:
    """Return the newest runs of these connections that changed a list and whose changes are kept, newest first.

    Those that are at work are left out, and those that were taken back or are about to be.
    """
    active = [status.value for status in RunStatus if status.is_active]
    other = runs.alias()
    gone = [RunStatus.SUCCEEDED.value, *(status.value for status in RunStatus if status.is_resumable)]
    taken_back = select(other.c.id).where(other.c.undo_of == runs.c.id, other.c.status.in_(gone)).exists()
    kept = select(batches.c.id).where(batches.c.run_id == runs.c.id, batches.c.status.in_(["done", "sent"])).exists()
    query = (
        select(runs)
        .where(
            runs.c.connection_id.in_(connection_ids),
            runs.c.status.not_in(active),
            runs.c.finished_at > ended_after,
            runs.c.added + runs.c.updated + runs.c.removed > 0,
            kept,
            ~taken_back,
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


async def change(
    db: AsyncConnection, run_id: str, *, if_worker: str | None = None, **values: Unpack[RunUpdate]
) -> None:
    """Set columns of a run. With `if_worker`, only while it is that worker's: raises TakenOverError if it is not."""
    query = update(runs).where(runs.c.id == run_id).values(**plain(values))
    if if_worker is not None:
        query = query.where(runs.c.worker_id == if_worker)
    result = await db.execute(query)
    if if_worker is not None and not result.rowcount:
        raise TakenOverError(f"Run {run_id} was taken over by another process.")


async def assign_worker(db: AsyncConnection, run_id: str, worker: str) -> None:
    """Make a run this worker's: any other that still works on it will get a TakenOverError."""
    await db.execute(update(runs).where(runs.c.id == run_id).values(worker_id=worker))


async def take(db: AsyncConnection, run_id: str, worker: str) -> None:
    """Make a run this worker's if it is nobody's, and keep it so until the transaction ends.

    Raises TakenOverError if it is another's, or this worker was declared dead: then anyone may have it next.
    """
    query = select(runs.c.worker_id, runs.c.status).where(runs.c.id == run_id).with_for_update()
    found = (await db.execute(query)).first()
    if found is not None and found.worker_id == worker:
        return
    if found is None or found.worker_id is not None or found.status == RunStatus.INTERRUPTED.value:
        raise TakenOverError(f"Run {run_id} was taken over by another process.")
    await assign_worker(db, run_id, worker)


async def reopen(db: AsyncConnection, this: Run, worker: str | None) -> int | None:
    """Make a run that stopped go on as this worker's (None: queued): planned ones upload, others are planned.

    Returns the new attempt's number, or None where somebody else was faster.
    """
    planned = runs.c.plan.is_not(None)
    status = case((planned, RunStatus.RUNNING.value), else_=RunStatus.QUEUED.value)
    result = await db.execute(
        update(runs)
        .where(runs.c.id == this.id, runs.c.attempt == this.attempt)
        .values(
            status=status,
            worker_id=worker,
            attempt=runs.c.attempt + 1,
            stop_requested=None,
            error=None,
            error_code=None,
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
) -> None:
    """Move a run to a status, with the error that led there if one did (CANCELLED: and why, unless it was asked)."""
    now = await clock.now(db)
    await change(
        db,
        run_id,
        status=status,
        finished_at=None if status.is_active else now,
        approval_wait_s=waited(now),
        error=error,
        error_code=code,
        cancel_reason=cancel_reason,
    )


async def set_plan(db: AsyncConnection, run_id: str, worker: str, plan: RunPlan, mode: SyncMode, revision: int) -> None:
    """Record what planning found. The counters start with the members that nothing has to be sent for."""
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
    """Add to counters of a run while it is this worker's. Raises TakenOverError if it is not."""
    names = tuple(name for name, number in more.items() if number)
    values = {"id_of_run": run_id, "its_worker": worker, **{f"more_{name}": more[name] for name in names}}
    if not (await db.execute(_counting(names), values)).rowcount:
        raise TakenOverError(f"Run {run_id} was taken over by another process.")


@lru_cache(maxsize=64)
def _counting(names: tuple[str, ...]) -> Update:
    """The statement that adds to these counters; building one takes longer than executing it."""
    added: dict[str, Any] = {name: runs.c[name] + bindparam(f"more_{name}", type_=runs.c[name].type) for name in names}
    return (
        update(runs)
        .where(runs.c.id == bindparam("id_of_run"), runs.c.worker_id == bindparam("its_worker"))
        .values(added or {"worker_id": runs.c.worker_id})
    )


async def set_phase(
    db: AsyncConnection, run_id: str, phase: RunPhase, *, waiting_for_run_id: str | None = None
) -> None:
    """Record what a run is doing; while it waits, for which other run."""
    await change(db, run_id, phase=phase, waiting_for_run_id=waiting_for_run_id)


async def request_stop(db: AsyncConnection, run_id: str, reason: StopReason | None) -> None:
    """Ask whoever executes a run to stop; None withdraws the request."""
    await change(db, run_id, stop_requested=reason)


async def expired(db: AsyncConnection, before: float, limit: int) -> Sequence[str]:
    """Return ids of runs that ended for good before that time, and of which changes or rejections are still kept.

    Changes that were sent and never answered don't count: they are kept until another run has put them on record.
    """
    ended = [status.value for status in RunStatus if not status.is_active and not status.is_resumable]
    kept = or_(
        select(batches.c.id).where(batches.c.run_id == runs.c.id, batches.c.status != "sent").exists(),
        select(rejections.c.id).where(rejections.c.run_id == runs.c.id).exists(),
    )
    query = select(runs.c.id).where(runs.c.finished_at < before, runs.c.status.in_(ended), kept)
    return (await db.execute(query.order_by(runs.c.finished_at).limit(limit))).scalars().all()


def waited(now: float) -> ColumnElement[float]:
    """How long a run that goes on now has waited in all: nobody was at work on it since it stopped."""
    since = func.coalesce(runs.c.finished_at, now)
    return runs.c.approval_wait_s + case((runs.c.started_at.is_(None), 0.0), else_=now - since)


def _one(row: Any) -> Run | None:
    return None if row is None else Run.from_row(by_key(runs, row))
