"""Rejections: the members that a run could not sync, with the reason."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.tables import rejections, runs

#: The reason if Iterable counted a failure without naming the member.
UNATTRIBUTED = "iterable_unattributed"


#: The reason if the member was erased before the change was sent.
ERASED = "erased"


#: The reason if an exclusion of the mapping keeps the member off the list.
EXCLUDED = "excluded"


# Rows fetched at once for a file of rejections.
CHUNK = 10_000


# Plain SQL, because there may be very many rows, and SQLAlchemy would process each.
_ADD = "INSERT INTO rejections (run_id, profile, email, customer_id, reason, words) VALUES (?, ?, ?, ?, ?, ?)"


_COLUMNS = (
    rejections.c.member_key,
    rejections.c.email,
    rejections.c.customer_id,
    rejections.c.reason,
    rejections.c.words,
)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A member that was not synced. `member_key` is None if Iterable counted a failure without naming the member.

    `words` are Iterable's own, if there are any, without personal data.
    """

    member_key: str | None
    email: str | None
    customer_id: str | None
    reason: str
    words: str | None = None


async def add(db: AsyncConnection, run_id: str, rejected: Sequence[Rejection]) -> None:
    """Store rejections of a run."""
    if rejected:
        rows = [(run_id, r.member_key, r.email, r.customer_id, r.reason, r.words) for r in rejected]
        await db.exec_driver_sql(_ADD.replace("?", "%s") if db.dialect.name == "postgresql" else _ADD, rows)


async def by_reason(db: AsyncConnection, run_id: str) -> dict[str, int]:
    """Return the number of rejections by reason, largest first."""
    query = (
        select(rejections.c.reason, func.count())
        .where(rejections.c.run_id == run_id)
        .group_by(rejections.c.reason)
        .order_by(func.count().desc(), rejections.c.reason)
    )
    return {reason: count for reason, count in await db.execute(query)}  # noqa: C416  # rows, not pairs


async def by_reason_of(db: AsyncConnection, run_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the number of rejections by reason of each of these runs that has any, largest first."""
    query = (
        select(rejections.c.run_id, rejections.c.reason, func.count())
        .where(rejections.c.run_id.in_(run_ids))
        .group_by(rejections.c.run_id, rejections.c.reason)
        .order_by(func.count().desc(), rejections.c.reason)
    )
    by_run: dict[str, dict[str, int]] = {}
    for run_id, reason, count in await db.execute(query):
        by_run.setdefault(run_id, {})[reason] = count
    return by_run


async def of_run(db: AsyncConnection, run_id: str, reason: str | None = None) -> AsyncIterator[Rejection]:
    """Yield the rejections of a run (or those with this reason) in the order in which they were found."""
    query = (
        select(*_COLUMNS)
        .where(rejections.c.run_id == run_id)
        .order_by(rejections.c.id)
        .execution_options(yield_per=CHUNK)
    )
    if reason is not None:
        query = query.where(rejections.c.reason == reason)
    async for row in await db.stream(query):
        yield Rejection(*row)


async def page_of_run(
    db: AsyncConnection, run_id: str, *, after_id: int, limit: int
) -> tuple[list[Rejection], int | None]:
    """Return the rejections of a run whose id is above `after_id`, in order, and the id to continue after, if any.

    For readers that are slow: no connection waits for them.
    """
    query = (
        select(rejections.c.id, *_COLUMNS)
        .where(rejections.c.run_id == run_id, rejections.c.id > after_id)
        .order_by(rejections.c.id)
        .limit(limit)
    )
    rows = (await db.execute(query)).all()
    return [Rejection(*row[1:]) for row in rows], rows[-1].id if len(rows) == limit else None


async def pages_of(db: AsyncConnection, run_id: str, size: int) -> AsyncIterator[list[Rejection]]:
    """Yield the rejections of a run in the order in which they were found, in pages of that many."""
    query = select(*_COLUMNS).where(rejections.c.run_id == run_id).order_by(rejections.c.id)
    async for rows in (await db.stream(query.execution_options(yield_per=size))).partitions():
        yield [Rejection(*row) for row in rows]


async def with_reasons(
    db: AsyncConnection, run_id: str, reasons: Sequence[str], chunk: int
) -> AsyncIterator[list[tuple[str, str]]]:
    """Yield the member keys that a run has rejected for one of these reasons, each with it, in chunks of that many."""
    query = (
        select(rejections.c.member_key, rejections.c.reason)
        .where(rejections.c.run_id == run_id, rejections.c.member_key.is_not(None))
        .where(rejections.c.reason.in_(reasons))
        .execution_options(yield_per=chunk)
    )
    async for rows in (await db.stream(query)).partitions():
        yield [(key, reason) for key, reason in rows]


async def profiles_of(db: AsyncConnection, run_id: str, chunk: int) -> AsyncIterator[Sequence[str]]:
    """Yield the member keys that a run has rejected, in chunks of that many."""
    query = (
        select(rejections.c.member_key)
        .where(rejections.c.run_id == run_id, rejections.c.member_key.is_not(None))
        .execution_options(yield_per=chunk)
    )
    async for rows in (await db.stream(query)).scalars().partitions():
        yield rows


async def first(db: AsyncConnection, run_id: str, limit: int) -> list[Rejection]:
    """Return the first rejections of a run."""
    query = select(*_COLUMNS).where(rejections.c.run_id == run_id).order_by(rejections.c.id).limit(limit)
    return [Rejection(*row) for row in await db.execute(query)]


@dataclass(frozen=True, slots=True)
class Refusal:
    """When, in which run and why a person was rejected."""

    run_id: str
    reason: str
    at: float


async def of_person(db: AsyncConnection, mapping_ids: Sequence[int], wanted: str) -> dict[int, Refusal]:
    """Return the last rejection in each of these mappings of the person with this email, customer id or mpid."""
    matches = or_(
        func.lower(func.trim(rejections.c.email)) == wanted.lower(),
        rejections.c.customer_id == wanted,
        rejections.c.member_key.in_([wanted, f"customer:{wanted}"]),
    )
    query = (
        select(runs.c.mapping_id, rejections.c.run_id, rejections.c.reason, runs.c.created_at)
        .join(runs, runs.c.id == rejections.c.run_id)
        .where(runs.c.mapping_id.in_(mapping_ids), matches)
        .order_by(runs.c.created_at, rejections.c.id)
    )
    return {mapping_id: Refusal(*row) for mapping_id, *row in await db.execute(query)}


async def drop(db: AsyncConnection, run_id: str, *, limit: int) -> int:
    """Delete up to `limit` rejections of a run. Returns how many."""
    chosen = select(rejections.c.id).where(rejections.c.run_id == run_id).limit(limit)
    result = await db.execute(delete(rejections).where(rejections.c.id.in_(chosen)))
    return int(result.rowcount)
