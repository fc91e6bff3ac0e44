"""The runs of a round: stored before their requests are sent, and merged into their daily runs afterwards."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Insert,
    Select,
    Update,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import Run, RunCounters, RunPhase, RunStatus, StopReason
from core.store import alerts, clock, field_values, rejections
from core.store.batches import Batch, BatchStatus, Draft
from core.store.database import postponing
from core.store.rejections import Rejection
from core.store.runs import is_logged
from core.store.tables import batch_members, batches, lists, runs
from core.store.tables import rejections as rejections_table
from core.vault import Vault


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run of a round with its plan: its batches, in the order in which they are sent, and its rejections."""

    run: Run
    drafts: Sequence[Draft]
    rejections: Sequence[Rejection]


def _insertion(now: ColumnElement[Any]) -> Insert:
    # the runs of a list are ordered by this time, even if the clock was set back (as in core.store.runs.add)
    of_list = (
        runs.c.connection_id == bindparam("of_connection"),
        runs.c.list_id == bindparam("of_list"),
    )
    latest = func.coalesce(select(func.max(runs.c.created_at)).where(*of_list).scalar_subquery(), 0.0)
    return insert(runs).values(
        created_at=case((latest < now, now), else_=latest + 0.001),
        started_at=now,
        status=RunStatus.RUNNING.value,
        phase=RunPhase.UPLOADING.value,
        is_live=True,
    )


_INSERT = {
    "sqlite": _insertion(bindparam("now", type_=Float)),
    "postgresql": _insertion(clock.SERVER_TIME),
}
_INSERT_BATCHES = insert(batches).returning(batches.c.id, sort_by_parameter_order=True)
_INSERT_MEMBERS = insert(batch_members)
_SENT = BatchStatus.SENT.value


async def add(db: AsyncConnection, new: Sequence[NewRun], vault: Vault) -> list[list[Batch]]:
    """Store runs that are about to send, with their batches, which are marked as sent. Returns the batches of each.

    Their lists are held, and their plans are at the revision before that. `vault` encrypts data fields.
    """
    if not new:
        return []
    now = await clock.now(db) if db.dialect.name == "sqlite" else None
    with postponing(db):
        await db.execute(_INSERT[db.dialect.name], [_columns(each.run, now) for each in new])
    drafts = [(each.run.id, draft) for each in new for draft in each.drafts]
    stored: dict[str, list[Batch]] = {each.run.id: [] for each in new}
    if drafts:
        rows = [
            {
                "run_id": run_id,
                "phase": int(draft.phase),
                "sent_size": draft.sent_size,
                "counted_size": draft.counted_size,
                "status": _SENT,
            }
            for run_id, draft in drafts
        ]
        ids = (await db.execute(_INSERT_BATCHES, rows)).scalars().all()
        for (run_id, draft), batch_id in zip(drafts, ids, strict=True):
            values = (draft.phase, draft.sent_size, draft.counted_size, draft.members, draft.data_fields)
            stored[run_id].append(Batch(*values, id=batch_id))
        members = [
            {"batch_id": batch_id, "members": draft.members} for (_, draft), batch_id in zip(drafts, ids, strict=True)
        ]
        with postponing(db):
            await db.execute(_INSERT_MEMBERS, members)
        of_drafts = {batch_id: draft.data_fields for (_, draft), batch_id in zip(drafts, ids, strict=True)}
        await field_values.add(db, vault, {batch_id: fields for batch_id, fields in of_drafts.items() if fields})
    for each in new:
        await rejections.add(db, each.run.id, each.rejections)
    return [stored[each.run.id] for each in new]


def _columns(run: Run, now: float | None) -> dict[str, Any]:
    assert run.plan is not None
    counters = run.counters.model_dump()
    values = {
        "id": run.id,
        "mapping_id": run.mapping_id,
        "connection_id": run.connection_id,
        "list_id": run.list_id,
        "mode": run.mode.value,
        "user_id_field": run.user_id_field.value,
        "project_type": run.project_type.value,
        "rate": run.rate,
        "audience": run.audience,
        "request": run.request.model_dump_json(),
        "plan": run.plan.model_dump_json(),
        "ledger_revision": run.ledger_revision,
        "worker_id": run.worker_id,
        "plan_digest": run.plan_digest,
        "of_connection": run.connection_id,
        "of_list": run.list_id,
        **counters,
    }
    return values if now is None else values | {"now": now}


@dataclass(frozen=True, slots=True)
class Grip:
    """What decides whether the outcome of a run may be written: its worker and status, and the ledger's revision.

    `has_failures` is whether an alert about a failure of its connection, or of a mapping of that, is open.
    """

    worker_id: str | None
    status: RunStatus
    revision: int
    started_at: float | None
    has_failures: bool


def _grips(now: ColumnElement[Any]) -> Select[Any]:
    of_list = and_(lists.c.connection_id == runs.c.connection_id, lists.c.list_id == runs.c.list_id)
    return (
        select(
            runs.c.id,
            runs.c.worker_id,
            runs.c.status,
            lists.c.ledger_revision,
            runs.c.started_at,
            alerts.is_failing_in(runs.c.connection_id).label("has_failures"),
            now.label("now"),
        )
        .join_from(runs, lists, of_list)
        .where(runs.c.id.in_(bindparam("ids", expanding=True)))
        .order_by(runs.c.id)
        .with_for_update(of=runs)
    )


_GRIPS = {"sqlite": _grips(bindparam("now", type_=Float)), "postgresql": _grips(clock.SERVER_TIME)}


async def lock(db: AsyncConnection, run_ids: Collection[str]) -> tuple[dict[str, Grip], float]:
    """Lock runs until the transaction ends. Returns the grip of each that exists, by its id, and the time.

    The time is that of core/store/clock.py. It is 0.0 if none of the runs exists.
    """
    values: dict[str, Any] = {"ids": list(run_ids)}
    if db.dialect.name == "sqlite":
        values["now"] = await clock.now(db)
    rows = (await db.execute(_GRIPS[db.dialect.name], values)).all()
    grips = {
        row.id: Grip(row.worker, RunStatus(row.status), row.revision, row.started_at, bool(row.has_failures))
        for row in rows
    }
    return grips, max((float(row.now) for row in rows), default=0.0)


_STOPS = select(runs.c.id, runs.c.stop_requested).where(
    runs.c.id.in_(bindparam("ids", expanding=True)), runs.c.stop_requested.is_not(None)
)


async def stops(db: AsyncConnection, run_ids: Collection[str]) -> dict[str, StopReason]:
    """Return why runs are to stop, by the ids of those that are."""
    return {run_id: StopReason(stop) for run_id, stop in await db.execute(_STOPS, {"ids": list(run_ids)})}


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended, with its final counters, and the daily run of its day that it is merged into."""

    run: Run
    daily_run_id: str


_MERGED = (*RunCounters.model_fields, "requests", "retries", "throttled")


def _merging() -> Update:
    more = {name: runs.c[name] + bindparam(f"more_{name}", type_=runs.c[name].type) for name in _MERGED}
    values = {**more, "finished_at": bindparam("ended_at", type_=Float), "is_log_due": is_logged()}
    return update(runs).where(runs.c.id == bindparam("daily_run_id")).values(values)


_MERGE = _merging()
_MOVE_BATCHES = {
    dialect: update(batches)
    .where(batches.c.run_id == bindparam("of_run"))
    .values(run_id=bindparam("daily_run_id"), status=BatchStatus.DONE.value, done_at=at)
    for dialect, at in {"sqlite": bindparam("ended_at", type_=Float), "postgresql": clock.SERVER_TIME}.items()
}
_MOVE_REJECTIONS = (
    update(rejections_table)
    .where(rejections_table.c.run_id == bindparam("of_run"))
    .values(run_id=bindparam("daily_run_id"))
)
_DELETE = delete(runs).where(runs.c.id.in_(bindparam("ids", expanding=True)))
_RELEASE = (
    update(lists)
    .where(
        lists.c.connection_id == bindparam("of_connection"),
        lists.c.list_id == bindparam("of_list"),
        lists.c.locked_by_run_id == bindparam("of_run"),
    )
    .values(locked_by_run_id=None, locked_by_worker_id=None)
)


async def merge(db: AsyncConnection, ended: Sequence[Ended]) -> None:
    """Merge runs whose batches were all accepted into their daily runs, release their lists, and delete them.

    As `core.store.live_mappings.add_to`.
    """
    rows = []
    for each in ended:
        run = each.run
        numbers = {**run.counters.model_dump(), "requests": run.requests, "retries": run.retries}
        numbers["throttled"] = run.throttled
        rows.append(
            {
                "of_run": run.id,
                "of_connection": run.connection_id,
                "of_list": run.list_id,
                "daily_run_id": each.daily_run_id,
                "ended_at": run.finished_at,
                **{f"more_{name}": number for name, number in numbers.items()},
            }
        )
    await db.execute(_MERGE, rows)
    await db.execute(_MOVE_BATCHES[db.dialect.name], rows)
    if rejecting := [row for row, each in zip(rows, ended, strict=True) if each.run.counters.rejected]:
        await db.execute(_MOVE_REJECTIONS, rejecting)
    await db.execute(_DELETE, {"ids": [each.run.id for each in ended]})
    await db.execute(_RELEASE, rows)
