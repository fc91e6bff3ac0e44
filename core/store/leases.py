"""Leases: work that only one process does at a time, and which process that is."""

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.tables import leases


async def holder(db: AsyncConnection, name: str) -> str | None:
    """Return which process (a worker's id) has a lease."""
    worker: str | None = (await db.execute(select(leases.c.worker).where(leases.c.name == name))).scalar_one_or_none()
    return worker


async def take(db: AsyncConnection, name: str, worker: str, *, instead_of: str | None) -> bool:
    """Take a lease that nobody has, or that a process has which ended. Returns whether it is taken now."""
    if instead_of is not None:
        query = update(leases).where(leases.c.name == name, leases.c.worker == instead_of).values(worker=worker)
        return bool((await db.execute(query)).rowcount)
    try:
        async with db.begin_nested():
            await db.execute(insert(leases).values(name=name, worker=worker))
    except IntegrityError:  # somebody was faster
        return False
    return True


async def give_back(db: AsyncConnection, name: str, worker: str) -> None:
    """Give a lease back, if this process has it."""
    await db.execute(delete(leases).where(leases.c.name == name, leases.c.worker == worker))
