"""What all runs have counted, also those that were deleted: totals for monitoring, which never go down."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.tables import deleted_runs, runs

#: The outcomes of members, as runs count them.
OUTCOMES = ("added", "updated", "removed", "unchanged", "duplicates", "rejected")
_COUNTED = [runs.c[name] for name in (*OUTCOMES, "requests", "retries", "throttled")]
_SUMS = select(*(func.coalesce(func.sum(column), 0).label(column.key) for column in _COUNTED))
_ADD_NAME = text("INSERT INTO deleted_runs (name, number) VALUES (:its_name, 0) ON CONFLICT (name) DO NOTHING")
_ADD = text("UPDATE deleted_runs SET number = number + :more WHERE name = :its_name")


@dataclass(frozen=True, slots=True)
class RunTotals:
    """How many runs there are, by status, and what all runs have counted, by the name of the number."""

    by_status: dict[str, int]
    counted: dict[str, int]


async def read(db: AsyncConnection) -> RunTotals:
    """Read the totals. That reads all runs, so callers keep them for a while."""
    by_status = await db.execute(select(runs.c.status, func.count()).group_by(runs.c.status))
    counted = (await db.execute(_SUMS)).mappings().one()
    deleted = {row.name: row.number for row in await db.execute(select(deleted_runs))}
    return RunTotals(
        {status: int(number) for status, number in by_status},
        {name: int(number) + deleted.get(name, 0) for name, number in counted.items()},
    )


async def delete_runs(db: AsyncConnection, *which: ColumnElement[bool]) -> int:
    """Delete runs, and keep what they have counted. Returns how many were deleted."""
    deleted = 0
    counted: Counter[str] = Counter()
    for row in (await db.execute(delete(runs).where(*which).returning(*_COUNTED))).mappings():
        deleted += 1
        counted.update({name: int(number) for name, number in row.items()})
    if more := [{"its_name": name, "more": number} for name, number in sorted(counted.items()) if number]:
        await db.execute(_ADD_NAME, more)
        await db.execute(_ADD, more)
    return deleted
