"""Checks of lists: when a list is compared with the ledger next, and what the last comparison found."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.batch import FORMER_IDENTITY_PREFIX
from core.store.connections import Connection, from_row
from core.store.database import parsed
from core.store.tables import connections, ledger, list_checks


@dataclass(frozen=True, slots=True)
class ListCheck:
    """The last check of a list. Times are in UTC seconds; numbers are None if they were not read.

    `ours` are the people that the ledger has on the list, `others` the people on it who are known not to be ours.
    `missing` are ours who are not on it, `extra` people on it who are not ours; if `sampled` is not 0, `missing` is how
    many of so many people. `matched_at` is when it matched last.
    """

    connection_id: int
    list_id: int
    due_at: float
    checked_at: float | None = None
    matched_at: float | None = None
    ours: int | None = None
    in_iterable: int | None = None
    in_mparticle: int | None = None
    missing: int | None = None
    extra: int | None = None
    sampled: int = 0
    others: int = 0


async def of_list(db: AsyncConnection, connection_id: int, list_id: int) -> ListCheck | None:
    """Find the check of a list."""
    row = (await db.execute(select(list_checks).where(*_is(connection_id, list_id)))).mappings().first()
    return None if row is None else ListCheck(**row)


async def schedule(db: AsyncConnection, connection_id: int, list_id: int, at: float, *, postpone: bool = True) -> None:
    """Check a list at a time. Without `postpone`, a check that is scheduled already stays."""
    if await of_list(db, connection_id, list_id) is None:
        await db.execute(insert(list_checks).values(connection_id=connection_id, list_id=list_id, due_at=at, others=0))
    elif postpone:
        await db.execute(update(list_checks).where(*_is(connection_id, list_id)).values(due_at=at))


_ROWS = {"sqlite": "json_each(:rows)", "postgresql": "jsonb_array_elements(CAST(:rows AS jsonb)) AS each(value)"}
_SCHEDULE_NEW = """
INSERT INTO list_checks (connection_id, list_id, due_at, others)
SELECT CAST(value ->> 0 AS bigint), CAST(value ->> 1 AS bigint), :at, 0 FROM {rows} WHERE true ORDER BY 1, 2
ON CONFLICT (connection_id, list_id) DO NOTHING
"""


async def schedule_new(db: AsyncConnection, list_keys: Collection[tuple[int, int]], at: float) -> None:
    """Check these lists (connection id, list id) at a time, unless a check of them is scheduled already."""
    statement = parsed(_SCHEDULE_NEW.format(rows=_ROWS[db.dialect.name]))
    await db.execute(statement, {"rows": orjson.dumps(list(list_keys)).decode(), "at": at})


async def due(db: AsyncConnection, now: float, limit: int) -> list[tuple[Connection, ListCheck]]:
    """Return the checks that are due, of connections whose key works, the longest waiting first."""
    query = (
        select(list_checks, connections)
        .join(connections, connections.c.id == list_checks.c.connection_id)
        .where(list_checks.c.due_at <= now, connections.c.key_rejected_at.is_(None))
        .order_by(list_checks.c.due_at)
        .limit(limit)
    )
    names = [column.name for column in list_checks.columns]
    return [
        (from_row(row), ListCheck(**{name: row[list_checks.c[name]] for name in names}))
        for row in (await db.execute(query)).mappings()
    ]


async def claim(db: AsyncConnection, check: ListCheck, due_at: float) -> bool:
    """Record when a list is checked next. Returns False if another process did so meanwhile."""
    is_same = (*_is(check.connection_id, check.list_id), list_checks.c.due_at == check.due_at)
    return bool((await db.execute(update(list_checks).where(*is_same).values(due_at=due_at))).rowcount)


async def record(db: AsyncConnection, connection_id: int, list_id: int, **values: Any) -> None:
    """Store what a check found: columns of `list_checks`."""
    await db.execute(update(list_checks).where(*_is(connection_id, list_id)).values(**values))


async def ours(db: AsyncConnection, mapping_ids: list[int], *, by_user_id: bool = False) -> int:
    """Return how many people the ledgers of these mappings have on their list. People of several count once.

    `by_user_id`: two user ids are two people, even if their email is the same.
    """
    names = (ledger.c.user_id, ledger.c.email) if by_user_id else (ledger.c.email, ledger.c.user_id)
    identity = func.coalesce(*names)
    is_member = (ledger.c.mapping_id.in_(mapping_ids), ~ledger.c.member_key.startswith(FORMER_IDENTITY_PREFIX))
    query = select(func.count(identity.distinct())).where(*is_member)
    return int((await db.execute(query)).scalar_one())


def _is(connection_id: int, list_id: int) -> tuple[Any, ...]:
    return list_checks.c.connection_id == connection_id, list_checks.c.list_id == list_id
