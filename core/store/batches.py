"""Batches: the stored changes of runs, and the status of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import orjson
from sqlalchemy import Float, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.batch import BatchColumns, BatchEntry, BatchFields, Phase, decode
from core.store import clock, field_values
from core.store.tables import batch_members, batches, rejections, runs
from core.vault import Vault

# A doubt that no run has looked at for so many seconds is given up: the list is not synced any longer.
DOUBTED_S = 7 * 24 * 3600.0
# Batches of a mapping that are searched for a person (each has up to 1,000 members), and those that are read.
MOST_SEARCHED, MOST_FOUND = 2_000, 20


class BatchStatus(StrEnum):
    """The status of a batch."""

    DRAFT = "draft"
    """Written by a planning in progress."""
    PLANNED = "planned"
    SENT = "sent"
    """The intent to send: a request may have left, and no answer is recorded."""
    DONE = "done"
    SUPERSEDED = "void"
    """Replaced by another plan, and waiting to be deleted."""


@dataclass(frozen=True)
class Draft:
    """A batch to be stored.

    `sent_size` is the number of members that are sent, `counted_size` the number that counts once accepted. `members`
    is JSON (core/models/batch.py describes it).
    """

    phase: Phase
    sent_size: int
    counted_size: int
    members: str
    data_fields: BatchFields | None = None
    """The data fields of its members; None: none are sent."""


@dataclass(frozen=True, kw_only=True)
class Batch(Draft):
    """A batch as stored."""

    id: int

    @cached_property
    def columns(self) -> BatchColumns:
        """The members by columns, for sending and for the ledger."""
        return decode(self.members)

    @cached_property
    def entries(self) -> list[BatchEntry]:
        """The members one by one."""
        return self.columns.entries


def digests_of(draft: Draft) -> dict[str, str] | None:
    """Return the digests of the data fields in a batch, by member key; None if it has no data fields."""
    if not draft.data_fields:
        return None
    return {member_key: of_member.digest for member_key, of_member in draft.data_fields.items()}


async def add_drafts(db: AsyncConnection, run_id: str, drafts: Sequence[Draft], vault: Vault | None = None) -> None:
    """Store batches of a plan in progress. `vault` encrypts their data fields, if they have any."""
    if not drafts:
        return
    rows = [
        {
            "run_id": run_id,
            "phase": int(d.phase),
            "sent_size": d.sent_size,
            "counted_size": d.counted_size,
            "status": BatchStatus.DRAFT.value,
        }
        for d in drafts
    ]
    result = await db.execute(insert(batches).returning(batches.c.id, sort_by_parameter_order=True), rows)
    ids = result.scalars().all()
    await db.execute(
        insert(batch_members),
        [{"batch_id": batch_id, "members": draft.members} for batch_id, draft in zip(ids, drafts, strict=True)],
    )
    if vault is not None:
        fields = {batch_id: draft.data_fields for batch_id, draft in zip(ids, drafts, strict=True) if draft.data_fields}
        await field_values.add(db, vault, fields)


async def publish(db: AsyncConnection, run_id: str) -> None:
    """Make the drafts of a run its plan, and supersede what remains of the plan before."""
    planned, draft = BatchStatus.PLANNED.value, BatchStatus.DRAFT.value
    becomes = case((batches.c.status == planned, BatchStatus.SUPERSEDED.value), else_=planned)
    which = (batches.c.run_id == run_id, batches.c.status.in_([planned, draft]))
    await db.execute(update(batches).where(*which).values(status=becomes))


async def has_stored(db: AsyncConnection, run_id: str) -> bool:
    """Return whether a run has batches or rejections, of an earlier planning."""
    tables = (batches, rejections)
    has_any = or_(*(select(table.c.id).where(table.c.run_id == run_id).exists() for table in tables))
    return bool((await db.execute(select(has_any))).scalar_one())


async def open_batches(
    db: AsyncConnection,
    run_id: str,
    state: BatchStatus,
    *,
    limit: int,
    phase: Phase | None = None,
    after: int = 0,
    vault: Vault | None = None,
) -> list[Batch]:
    """Return the next batches in a state (of a phase, or of all) whose id is above `after`, oldest first.

    `vault` decrypts their data fields; without it, they come without.
    """
    query = (
        select(
            batches.c.phase,
            batches.c.sent_size,
            batches.c.counted_size,
            batch_members.c.members,
            batches.c.id,
        )
        .join(batch_members, batch_members.c.batch_id == batches.c.id)
        .where(batches.c.run_id == run_id, batches.c.status == state.value, batches.c.id > after)
        .order_by(batches.c.id)
        .limit(limit)
    )
    if phase is not None:
        query = query.where(batches.c.phase == int(phase))
    rows = [Batch(Phase(phase), *rest, id=batch_id) for phase, *rest, batch_id in await db.execute(query)]
    if vault is None:
        return rows
    fields = await field_values.of_batches(db, vault, [batch.id for batch in rows])
    return [replace(batch, data_fields=fields.get(batch.id)) for batch in rows]


async def sent_batches(
    db: AsyncConnection, run_id: str, *, limit: int, after: int = 0
) -> list[tuple[int, Phase, BatchStatus, str]]:
    """Return the next batches of a run that were or may have been applied, whose id is above `after`, oldest first.

    Planned batches are included, because a batch whose answer was lost is planned again.
    """
    states = [BatchStatus.DONE.value, BatchStatus.SENT.value, BatchStatus.PLANNED.value]
    query = (
        select(batches.c.id, batches.c.phase, batches.c.status, batch_members.c.members)
        .join(batch_members, batch_members.c.batch_id == batches.c.id)
        .where(batches.c.run_id == run_id, batches.c.status.in_(states), batches.c.id > after)
        .order_by(batches.c.id)
        .limit(limit)
    )
    return [(i, Phase(phase), BatchStatus(state), members) for i, phase, state, members in await db.execute(query)]


@dataclass(frozen=True, slots=True)
class SentBatch:
    """A batch that was sent, for the run log. `done_at` (UTC seconds) is None if its outcome is not known."""

    id: int
    is_done: bool
    done_at: float | None
    members: str


#: The phases whose requests change the list, and whose members count.
_COUNTED_PHASES = [int(phase) for phase in (Phase.REMOVE, Phase.UPDATE, Phase.ADD)]


async def sent_members(db: AsyncConnection, run_id: str, *, limit: int, after: int = 0) -> list[SentBatch]:
    """Return the next batches of a run whose members count, and that were sent, oldest first.

    Their ids are above `after`.
    """
    sent = [BatchStatus.DONE.value, BatchStatus.SENT.value]
    query = (
        select(batches.c.id, batches.c.status, batches.c.done_at, batch_members.c.members)
        .join(batch_members, batch_members.c.batch_id == batches.c.id)
        .where(batches.c.run_id == run_id, batches.c.phase.in_(_COUNTED_PHASES), batches.c.status.in_(sent))
        .where(batches.c.id > after)
        .order_by(batches.c.id)
        .limit(limit)
    )
    return [
        SentBatch(batch_id, status == BatchStatus.DONE.value, done_at, members)
        for batch_id, status, done_at, members in await db.execute(query)
    ]


async def newest_about(
    db: AsyncConnection, mapping_id: int, values: Sequence[str]
) -> list[tuple[str, float, BatchColumns]]:
    """Return the newest applied batches of a mapping that contain one of these JSON strings, newest first.

    Each with its run, and when that run ended (UTC seconds; its creation if it has not ended). Searches the newest
    MOST_SEARCHED batches.
    """
    newest = (
        select(batches.c.id, batches.c.run_id, func.coalesce(runs.c.finished_at, runs.c.created_at).label("at"))
        .join(runs, runs.c.id == batches.c.run_id)
        .where(runs.c.mapping_id == mapping_id, batches.c.status == BatchStatus.DONE.value)
        .order_by(batches.c.id.desc())
        .limit(MOST_SEARCHED)
        .subquery()
    )
    contains = [batch_members.c.members.contains(orjson.dumps(value).decode(), autoescape=True) for value in values]
    query = (
        select(newest.c.run_id, newest.c.at, batch_members.c.members)
        .join(batch_members, batch_members.c.batch_id == newest.c.id)
        .where(or_(*contains))
        .order_by(newest.c.id.desc())
        .limit(MOST_FOUND)
    )
    return [(run_id, at, decode(members)) for run_id, at, members in await db.execute(query)]


async def states_of(db: AsyncConnection, run_id: str) -> set[tuple[Phase, BatchStatus]]:
    """Return the pairs of phase and status that the batches of a run have."""
    query = select(batches.c.phase, batches.c.status).distinct().where(batches.c.run_id == run_id)
    return {(Phase(phase), BatchStatus(state)) for phase, state in await db.execute(query)}


_SET_STATE = (
    update(batches)
    .where(batches.c.id.in_(bindparam("ids", expanding=True)))
    .values(status=bindparam("to_state", type_=batches.c.status.type))
)
_SET_DONE = {
    dialect: _SET_STATE.values(done_at=at)
    for dialect, at in {"sqlite": bindparam("now", type_=Float), "postgresql": clock.SERVER_TIME}.items()
}


async def set_state(db: AsyncConnection, ids: Sequence[int], state: BatchStatus) -> None:
    """Move batches to a state. Those that are done get the time."""
    values: dict[str, object] = {"ids": list(ids), "to_state": state.value}
    if state is not BatchStatus.DONE:
        await db.execute(_SET_STATE, values)
    elif db.dialect.name == "sqlite":
        await db.execute(_SET_DONE["sqlite"], {**values, "now": await clock.now(db)})
    else:
        await db.execute(_SET_DONE["postgresql"], values)


@dataclass(frozen=True, slots=True)
class OpenPhase:
    """A phase of a run that has unfinished batches, and how many of them are planned and sent."""

    phase: Phase
    planned: int
    sent: int


async def phases_left(db: AsyncConnection, run_id: str) -> list[OpenPhase]:
    """Return the phases that have unfinished batches, in order."""
    is_planned, is_sent = (batches.c.status == each.value for each in (BatchStatus.PLANNED, BatchStatus.SENT))
    query = (
        select(batches.c.phase, func.count().filter(is_planned), func.count().filter(is_sent))
        .where(batches.c.run_id == run_id, or_(is_planned, is_sent))
        .group_by(batches.c.phase)
        .order_by(batches.c.phase)
    )
    return [OpenPhase(Phase(phase), *counts) for phase, *counts in await db.execute(query)]


async def progress(db: AsyncConnection, run_id: str) -> tuple[int, int]:
    """Return how many changes of a run are done, and the total."""
    query = (
        select(batches.c.status, func.sum(batches.c.sent_size))
        .where(
            batches.c.run_id == run_id,
            batches.c.status.in_([BatchStatus.PLANNED.value, BatchStatus.SENT.value, BatchStatus.DONE.value]),
        )
        .group_by(batches.c.status)
    )
    sizes = {state: int(size) for state, size in (await db.execute(query))}
    return sizes.get(BatchStatus.DONE.value, 0), sum(sizes.values())


async def drop(db: AsyncConnection, run_id: str, states: Sequence[BatchStatus], limit: int) -> int:
    """Delete up to `limit` batches in these states, to hold the write lock briefly. Returns how many.

    Batches in doubt are kept until the doubt is over (core/store/doubts.py).
    """
    is_over = or_(batches.c.doubted_until.is_(None), batches.c.doubted_until < await clock.now(db) - DOUBTED_S)
    chosen = (
        select(batches.c.id)
        .where(batches.c.run_id == run_id, batches.c.status.in_([state.value for state in states]), is_over)
        .limit(limit)
    )
    result = await db.execute(delete(batches).where(batches.c.id.in_(chosen)))
    return int(result.rowcount)
