"""Leases: which process does the work that only one process may do at a time."""

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.tables import leases


async def holder(db: AsyncConnection, name: str) -> str | None:
    """Return the process (worker id) that holds a lease, or None."""
    worker: str | None = (await db.execute(select(leases.c.worker).where(leases.c.name == name))).scalar_one_or_none()
    return worker


async def take(db: AsyncConnection, name: str, worker: str, *, instead_of: str | None) -> bool:
    """Take a free lease, or that of the dead process `instead_of`. Returns whether it was taken."""
    if instead_of is not None:
        query = update(leases).where(leases.c.name == name, leases.c.worker == instead_of).values(worker=worker)
        return bool((await db.execute(query)).rowcount)
    try:
        async with db.begin_nested():
            await db.execute(insert(leases).values(name=name, worker=worker))
    except IntegrityError:  # another process was faster
        return False
    return True


async def give_back(db: AsyncConnection, name: str, worker: str) -> None:
    """Release a lease if this process holds it."""
    await db.execute(delete(leases).where(leases.c.name == name, leases.c.worker == worker))
