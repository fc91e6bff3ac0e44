"""The inbox: membership changes that mParticle has sent, the latest of each member by mParticle's time stamp.

A row is pending until a run has delivered it. After that only its time stamp is kept for a while, so that an older
change that arrives late has no effect. A run claims rows by its id; a newer change of the same member removes the claim
and is pending for the next run.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Update,
    and_,
    bindparam,
    case,
    delete,
    false,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.batch import FORMER_IDENTITY_PREFIX
from core.store import clock
from core.store.database import chosen_once, parsed
from core.store.mappings import FreezeHolds
from core.store.tables import inbox, ledger
from core.store.tables import mappings as mappings_table

#: Bits of `hashed`: the identities that are present only as hashes.
EMAIL_HASHED, CUSTOMER_ID_HASHED = 1, 2


@dataclass(frozen=True, slots=True)
class Change:
    """A membership change of one member, with the identities in its message."""

    mapping_id: int
    member_key: str
    is_member: bool
    event_ms: int
    email: str | None = None
    customer_id: str | None = None
    hashed_fields: int = 0
    attributes: Mapping[str, str] | None = None
    """Values of data fields (core/sources/field_columns.py), by their name in the mapping; None: it has none."""
    is_update: bool = False
    """The change is of attributes only: whether the person is a member stays as it is."""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which changes may be delivered: without `removals`, only removals received up to `removals_approved_until`.

    That approval counts once its time has come: if it is in the future, the database's clock was set back since, and
    removals that arrive now are not among those that were approved. Removals received after `held_after` and up to
    `held_until` wait for an addition of the same person. The times are UTC seconds by the database's clock.

    Changes of the kind `frozen` wait; with additions, so does a removal if the same person joins, who would be off the
    list in the meantime.
    """

    removals: bool = True
    removals_approved_until: float | None = None
    held_after: float | None = None
    held_until: float = 0.0
    frozen: FreezeHolds | None = None


ALL = DeliveryFilter()

_ROWS = {
    "sqlite": "json_each(:rows)",
    "postgresql": "jsonb_array_elements(CAST(:rows AS jsonb)) AS each(value)",
}
# One statement for all, in the order of the table. Of two changes with the same time stamp, the one received later
# wins.
_PUT = """
INSERT INTO inbox (mapping_id, profile, member, stamp, email, customer_id, hashed, waiting_since)
SELECT CAST(value ->> 0 AS bigint), value ->> 1, CAST(value ->> 2 AS boolean), CAST(value ->> 3 AS bigint),
    value ->> 4, value ->> 5, CAST(value ->> 6 AS integer), {now}
FROM {rows} WHERE true ORDER BY 1, 2
ON CONFLICT (mapping_id, profile) DO UPDATE SET
    member = excluded.member, stamp = excluded.stamp, email = excluded.email, customer_id = excluded.customer_id,
    hashed = excluded.hashed, waiting_since = excluded.waiting_since, run_id = NULL
WHERE excluded.stamp >= inbox.stamp
"""


async def put(db: AsyncConnection, changes: Sequence[Change]) -> None:
    """Store changes, except those older than the stored change of the same member.

    Those with attributes, or of attributes only, are stored by core/store/live_attributes.py.
    """
    latest: dict[tuple[int, str], Change] = {}
    for change in changes:
        known = latest.get((change.mapping_id, change.member_key))
        if known is None or change.event_ms >= known.event_ms:
            latest[change.mapping_id, change.member_key] = change
    rows = [
        (c.mapping_id, c.member_key, c.is_member, c.event_ms, c.email, c.customer_id, c.hashed_fields)
        for c in latest.values()
    ]
    if rows:
        name = db.dialect.name
        statement = parsed(_PUT.format(rows=_ROWS[name], now=clock.AT_START_TEXT[name]))
        await db.execute(statement, {"rows": orjson.dumps(rows).decode(), **clock.parameters(db)})


_PUT_REMOVALS = """
INSERT INTO inbox (mapping_id, profile, member, stamp, email, customer_id, hashed, waiting_since)
SELECT mapping_id, profile, :member, :stamp, NULL, NULL, 0, {now} FROM ledger
WHERE mapping_id = :mapping_id AND profile > :after AND profile <= :last AND NOT profile LIKE :former
ON CONFLICT (mapping_id, profile) DO UPDATE SET
    member = excluded.member, stamp = excluded.stamp, email = NULL, customer_id = NULL, hashed = 0, fields = NULL,
    waiting_since = excluded.waiting_since, run_id = NULL
"""


async def put_removals(db: AsyncConnection, mapping_id: int, stamp: int, after: str, limit: int) -> str | None:
    """Store removals of the next `limit` ledger members of a mapping, in the order of their keys, after the key
    `after`.

    The first call ("") also turns the rows that an unfinished run has claimed into removals, because that run may still
    add their members. `stamp` (ms) is compared with mParticle's stamps. Returns the last key, or None if there are no
    more.
    """
    if not after:
        await db.execute(
            update(inbox)
            .where(inbox.c.mapping_id == mapping_id, inbox.c.run_id.is_not(None))
            .values(is_member=False, event_ms=stamp, pending_since=clock.AT_START, run_id=None)
        )
    next_keys = (
        select(ledger.c.member_key)
        .where(ledger.c.mapping_id == mapping_id, ledger.c.member_key > after)
        .order_by(ledger.c.member_key)
        .limit(limit)
    )
    last: str | None = next(reversed((await db.execute(next_keys)).scalars().all()), None)
    if last is not None:
        values = {"mapping_id": mapping_id, "member": False, "stamp": stamp, "after": after, "last": last}
        values |= {"former": f"{FORMER_IDENTITY_PREFIX}%", **clock.parameters(db)}
        await db.execute(text(_PUT_REMOVALS.format(now=clock.AT_START_TEXT[db.dialect.name])), values)
    return last


@dataclass(frozen=True, slots=True)
class Waiting:
    """The pending changes of a mapping: how many, possibly up to a limit, and since when the oldest is pending.

    Since when a change is pending is by the database's clock.
    """

    size: int
    oldest: float | None


async def waiting(db: AsyncConnection, mapping_id: int, limit: int, allowed: DeliveryFilter = ALL) -> Waiting:
    """Return the changes that the next run of a mapping could claim, counted up to `limit`."""
    condition = _claimable(mapping_id, allowed)
    some = select(inbox.c.pending_since).where(condition).order_by(inbox.c.pending_since).limit(limit).subquery()
    size, oldest = (await db.execute(select(func.count(), func.min(some.c.pending_since)))).one()
    return Waiting(int(size), oldest)


async def backlog(db: AsyncConnection, mapping_id: int) -> Waiting:
    """Return all undelivered changes of a mapping, including those that a run has claimed."""
    query = select(func.count(), func.min(inbox.c.pending_since)).where(
        inbox.c.mapping_id == mapping_id, inbox.c.pending_since.is_not(None)
    )
    size, oldest = (await db.execute(query)).one()
    return Waiting(int(size), oldest)


async def oldest(db: AsyncConnection, mapping_id: int, allowed: DeliveryFilter = ALL) -> float | None:
    """Return since when the oldest change of a mapping is pending, claimed or not."""
    condition = _waits(mapping_id, allowed)
    query = select(inbox.c.pending_since).where(condition).order_by(inbox.c.pending_since).limit(1)
    pending_since: float | None = (await db.execute(query)).scalar_one_or_none()
    return pending_since


async def removals_that_wait(db: AsyncConnection, mapping_id: int, approved_until: float | None) -> int:
    """Return how many removals await approval, if those received up to a time are approved (as `DeliveryFilter`)."""
    query = select(func.count()).where(
        inbox.c.mapping_id == mapping_id,
        inbox.c.pending_since > _until(approved_until),
        inbox.c.is_member.is_(False),
    )
    return int((await db.execute(query)).scalar_one())


async def claim(
    db: AsyncConnection,
    mapping_id: int,
    run_id: str,
    limit: int,
    allowed: DeliveryFilter = ALL,
) -> int:
    """Claim the oldest unclaimed rows of a mapping for a run, up to `limit`. Returns how many."""
    condition = _claimable(mapping_id, allowed)
    chosen = select(inbox.c.member_key).where(condition).order_by(inbox.c.pending_since).limit(limit)
    rows = and_(inbox.c.mapping_id == mapping_id, inbox.c.member_key.in_(chosen))
    result = await db.execute(update(inbox).where(_of_mapping(db, mapping_id, rows), condition).values(run_id=run_id))
    return int(result.rowcount)


async def claimed_by(db: AsyncConnection, run_id: str) -> list[Change]:
    """Return the changes that a run has claimed."""
    query = select(
        inbox.c.mapping_id,
        inbox.c.member_key,
        inbox.c.is_member,
        inbox.c.event_ms,
        inbox.c.email,
        inbox.c.customer_id,
        inbox.c.hashed_fields,
    ).where(inbox.c.run_id == run_id)
    return [Change(*row) for row in await db.execute(query.order_by(inbox.c.member_key))]


async def attributes_claimed_by(db: AsyncConnection, run_id: str) -> list[tuple[str, str]]:
    """Return the member keys and the encrypted attributes of the changes that a run has claimed, if they have any."""
    query = select(inbox.c.member_key, inbox.c.sealed_fields)
    query = query.where(inbox.c.run_id == run_id, inbox.c.sealed_fields.is_not(None)).order_by(inbox.c.member_key)
    return [(member_key, sealed) for member_key, sealed in await db.execute(query)]


async def claimed_count(db: AsyncConnection, run_id: str) -> int:
    """Return how many changes a run has claimed."""
    query = select(func.count()).select_from(inbox).where(inbox.c.run_id == run_id)
    return int((await db.execute(query)).scalar_one())


_DELIVERED = {
    "pending_since": None,
    "run_id": None,
    "email": None,
    "customer_id": None,
    "hashed_fields": 0,
    "sealed_fields": None,
}


async def mark_delivered(db: AsyncConnection, mapping_id: int, run_id: str, limit: int) -> bool:
    """Mark up to `limit` claimed rows of a run as delivered: keep their time stamps, delete their identities.

    Returns whether the run has more: a row that is never marked would stay pending for ever.
    """
    condition = and_(inbox.c.mapping_id == mapping_id, inbox.c.run_id == run_id)
    await db.execute(update(inbox).where(_of_mapping(db, mapping_id, condition, limit), condition).values(_DELIVERED))
    return (await db.execute(select(inbox.c.member_key).where(condition).limit(1))).first() is not None


def _marking(*, locks: bool) -> Update:
    """Build the statement of `mark_all_delivered`, with the parameter `run_ids`.

    `locks`: lock the rows in the order of `put`.
    """
    is_claimed = inbox.c.run_id.in_(bindparam("run_ids", expanding=True))
    statement = update(inbox).where(is_claimed).values(_DELIVERED)
    if not locks:
        return statement
    keys = (inbox.c.mapping_id, inbox.c.member_key)
    chosen = select(*keys).where(is_claimed).order_by(*keys).with_for_update().cte()
    return statement.where(tuple_(*keys).in_(select(*chosen.c)))


_MARK_ALL = {"sqlite": _marking(locks=False), "postgresql": _marking(locks=True)}


async def mark_all_delivered(db: AsyncConnection, run_ids: Sequence[str]) -> None:
    """As `mark_delivered`, for all rows of several runs that have few."""
    await db.execute(_MARK_ALL[db.dialect.name], {"run_ids": list(run_ids)})


async def unclaim(db: AsyncConnection, run_id: str) -> None:
    """Release all rows that a run has claimed, for the next run."""
    await db.execute(update(inbox).where(inbox.c.run_id == run_id).values(run_id=None))


async def backdate(db: AsyncConnection, mapping_id: int, now: float) -> None:
    """Set later times of receipt to `now`: if the database's clock was set back, a decision must still cover all
    rows."""
    await db.execute(
        update(inbox).where(inbox.c.mapping_id == mapping_id, inbox.c.pending_since > now).values(pending_since=now)
    )


async def drop_waiting(
    db: AsyncConnection, mapping_id: int, limit: int | None = None, *, until: float | None = None
) -> int:
    """Delete up to `limit` (None: all) pending, unclaimed changes of a mapping, received up to `until` if given.

    Returns how many; if it is not 0, there may be more.
    """
    condition = _claimable(mapping_id, ALL)
    if until is not None:
        condition = and_(condition, inbox.c.pending_since <= until)
    result = await db.execute(delete(inbox).where(_of_mapping(db, mapping_id, condition, limit), condition))
    return int(result.rowcount)


async def clear_old(db: AsyncConnection, mapping_id: int, before: int, limit: int) -> int:
    """Delete up to `limit` rows of delivered changes older than `before` (ms). Returns how many.

    mParticle's stamps are compared with the database's clock.
    """
    condition = and_(inbox.c.mapping_id == mapping_id, inbox.c.pending_since.is_(None), inbox.c.event_ms < before)
    result = await db.execute(delete(inbox).where(_of_mapping(db, mapping_id, condition, limit), condition))
    return int(result.rowcount)


async def newer(
    db: AsyncConnection, mapping_id: int, than: int, chunk: int
) -> AsyncIterator[Sequence[tuple[Any, ...]]]:
    """Yield (member key, is member, time in ms) of rows with a change newer than `than` (ms), in chunks of that many
    rows.
    """
    query = select(inbox.c.member_key, inbox.c.is_member, inbox.c.event_ms).where(
        inbox.c.mapping_id == mapping_id, inbox.c.event_ms > than
    )
    result = await db.stream(query.execution_options(yield_per=chunk))
    async for rows in result.partitions():
        yield rows


def _waits(mapping_id: int, allowed: DeliveryFilter) -> ColumnElement[bool]:
    condition = and_(inbox.c.mapping_id == mapping_id, inbox.c.pending_since.is_not(None))
    if allowed.frozen is FreezeHolds.BOTH:
        return false()
    if allowed.frozen is not None:
        condition = and_(condition, inbox.c.is_member.is_(allowed.frozen is FreezeHolds.REMOVALS))
    if allowed.frozen is FreezeHolds.ADDITIONS:
        condition = and_(condition, ~joins_as_another(mapping_id))
    if not allowed.removals:
        approved = inbox.c.pending_since <= _until(allowed.removals_approved_until)
        condition = and_(condition, or_(inbox.c.is_member, approved))
    if allowed.held_after is not None:
        is_over = or_(inbox.c.pending_since <= allowed.held_after, inbox.c.pending_since > allowed.held_until)
        condition = and_(condition, or_(inbox.c.is_member, is_over, joins_as_another(mapping_id)))
    return condition


def _until(approved_until: float | None) -> ColumnElement[float]:
    """The time up to which removals are approved; 0 if that is in the future (`DeliveryFilter`)."""
    if approved_until is None:
        return literal(0.0)
    return case((approved_until <= clock.AT_START, approved_until), else_=0.0)


def joins_as_another(mapping_id: int | ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition, on a row of `inbox`, that a person joins who has the email or the customer id of the row.

    `mapping_id` may be that of `mappings` in the query around it. The condition is never NULL.
    """
    joins = inbox.alias("joins")
    pending = and_(joins.c.mapping_id == mapping_id, joins.c.is_member, joins.c.pending_since.is_not(None))
    of_joiners = [
        column.in_(select(theirs).where(pending, theirs.is_not(None)).correlate(inbox, mappings_table))
        for column, theirs in (
            (inbox.c.customer_id, joins.c.customer_id),
            (func.lower(inbox.c.email), func.lower(joins.c.email)),
        )
    ]
    return func.coalesce(or_(*of_joiners), false())


def _claimable(mapping_id: int, allowed: DeliveryFilter) -> ColumnElement[bool]:
    # written so that SQLite does not use the index on `run_id`, which finds all pending rows and has to sort them
    return and_(_waits(mapping_id, allowed), func.coalesce(inbox.c.run_id, "") == "")


def _of_mapping(
    db: AsyncConnection, mapping_id: int, condition: ColumnElement[bool], limit: int | None = None
) -> ColumnElement[bool]:
    """Return the condition for the chosen rows of a mapping. PostgreSQL locks them in the order of `put`: no deadlocks.

    The caller repeats `condition`, because a newer change may have replaced a row before it was locked.
    """
    chosen = select(inbox.c.member_key).where(condition).order_by(inbox.c.member_key).limit(limit).with_for_update()
    return and_(inbox.c.mapping_id == mapping_id, inbox.c.member_key.in_(chosen_once(db, chosen)))
