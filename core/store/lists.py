"""Lists that are synced to: the lock of each (one run at a time), and the revision of its ledger."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, bindparam, delete, insert, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import StopReason
from core.store.runs import TakenOverError
from core.store.tables import batch_members, batches, connections, lists, runs


@dataclass(frozen=True, slots=True)
class ListState:
    """A list as stored. `ledger_revision` counts changes by other runs: a plan at an older revision is stale."""

    name: str
    list_created_at: int | None
    ledger_revision: int
    locked_by_run_id: str | None
    locked_by_worker_id: str | None


_GET = select(
    lists.c.name,
    lists.c.list_created_at,
    lists.c.ledger_revision,
    lists.c.locked_by_run_id,
    lists.c.locked_by_worker_id,
).where(lists.c.connection_id == bindparam("connection"), lists.c.list_id == bindparam("list"))


async def get(db: AsyncConnection, connection_id: int, list_id: int) -> ListState | None:
    """Find a list."""
    row = (await db.execute(_GET, {"connection": connection_id, "list": list_id})).first()
    return None if row is None else ListState(*row)


async def names(db: AsyncConnection, connection_ids: Sequence[int]) -> dict[tuple[int, int], str]:
    """Return the names of the lists of these connections, by connection id and list id."""
    query = select(lists.c.connection_id, lists.c.list_id, lists.c.name)
    rows = await db.execute(query.where(lists.c.connection_id.in_(connection_ids)))
    return {(connection_id, list_id): name for connection_id, list_id, name in rows}


async def add(db: AsyncConnection, connection_id: int, list_id: int, name: str, created_at: int | None) -> None:
    """Store a list that is synced to for the first time."""
    await db.execute(
        insert(lists).values(
            connection_id=connection_id, list_id=list_id, name=name, list_created_at=created_at, ledger_revision=0
        )
    )


async def rename(db: AsyncConnection, connection_id: int, list_id: int, name: str) -> None:
    """Record the new name of a list."""
    of_list = (lists.c.connection_id == connection_id, lists.c.list_id == list_id)
    await db.execute(update(lists).where(*of_list).values(name=name))


async def replace_placeholder(
    db: AsyncConnection, connection_id: int, placeholder_id: int, list_id: int, name: str, created_at: int | None
) -> bool:
    """Replace the placeholder of a new list by the list that was created in Iterable.

    Returns False, with nothing changed, while a run holds the placeholder's lock.
    """
    result = await db.execute(
        delete(lists).where(
            lists.c.connection_id == connection_id,
            lists.c.list_id == placeholder_id,
            lists.c.locked_by_worker_id.is_(None),
        )
    )
    if result.rowcount and await get(db, connection_id, list_id) is None:
        await add(db, connection_id, list_id, name, created_at)
    return bool(result.rowcount)


async def acquire(db: AsyncConnection, connection_id: int, list_id: int, run_id: str, worker: str) -> bool:
    """Acquire the lock of a list for a run, if it is free. Returns whether it was acquired."""
    result = await db.execute(
        update(lists)
        .where(
            lists.c.connection_id == connection_id,
            lists.c.list_id == list_id,
            lists.c.locked_by_worker_id.is_(None),
        )
        .values(locked_by_run_id=run_id, locked_by_worker_id=worker)
    )
    return bool(result.rowcount)


async def release(db: AsyncConnection, connection_id: int, list_id: int, worker: str) -> None:
    """Release the lock of a list if this worker holds it."""
    await db.execute(
        update(lists)
        .where(
            lists.c.connection_id == connection_id,
            lists.c.list_id == list_id,
            lists.c.locked_by_worker_id == worker,
        )
        .values(locked_by_run_id=None, locked_by_worker_id=None)
    )


async def bump(db: AsyncConnection, connection_id: int, list_id: int) -> int:
    """Increment the revision of a list's ledger. Returns the new revision."""
    result = await db.execute(
        update(lists)
        .where(lists.c.connection_id == connection_id, lists.c.list_id == list_id)
        .values(ledger_revision=lists.c.ledger_revision + 1)
        .returning(lists.c.ledger_revision)
    )
    return int(result.scalar_one())


async def bump_others(db: AsyncConnection, connection_id: int, list_id: int) -> None:
    """Increment the ledger revisions of a connection's other lists: a rename concerns all of them."""
    await db.execute(
        update(lists)
        .where(lists.c.connection_id == connection_id, lists.c.list_id != list_id)
        .values(ledger_revision=lists.c.ledger_revision + 1)
    )


@dataclass(frozen=True, slots=True)
class RunGuard:
    """Preconditions for sending: the run holds the list lock, its plan is current, and no stop was requested."""

    ledger_revision: int
    locked_by_worker_id: str | None
    locked_by_run_id: str | None
    stop_requested: StopReason | None
    is_key_rejected: bool


# Built once, because each turn of an upload executes it.
_GRIP = (
    select(
        lists.c.ledger_revision,
        lists.c.locked_by_worker_id,
        lists.c.locked_by_run_id,
        runs.c.stop_requested,
        connections.c.key_rejected_at,
    )
    .select_from(
        runs.join(connections, connections.c.id == runs.c.connection_id).join(
            lists, (lists.c.connection_id == runs.c.connection_id) & (lists.c.list_id == runs.c.list_id)
        )
    )
    .where(runs.c.id == bindparam("run_id"))
)


async def check_run_guard(db: AsyncConnection, run_id: str) -> RunGuard:
    """Return the current values of a run's preconditions. Raises TakenOverError if the run no longer exists."""
    row = (await db.execute(_GRIP, {"run_id": run_id})).one_or_none()
    if row is None:  # another process has added it to its day
        raise TakenOverError(f"Run {run_id} was taken over by another process, and has ended.")
    revision, worker, holder, stop, refused_at = row
    reason = None if stop is None else StopReason(stop)
    return RunGuard(revision, worker, holder, reason, refused_at is not None)


#: The condition that a batch has no answer, as a literal: SQLite takes a partial index for no other.
IS_SENT: ColumnElement[bool] = literal_column("batches.state = 'sent'")


def batches_of_list(connection_id: int, list_id: int, *conditions: ColumnElement[bool]) -> Select[int, int, int, str]:
    """Return the query for the batches of a list: id, phase, mapping id, members (JSON), in the order of their ids."""
    return (
        select(batches.c.id, batches.c.phase, runs.c.mapping_id, batch_members.c.members)
        .select_from(
            batches.join(runs, runs.c.id == batches.c.run_id).join(
                batch_members, batch_members.c.batch_id == batches.c.id
            )
        )
        .where(runs.c.connection_id == connection_id, runs.c.list_id == list_id, *conditions)
        .order_by(batches.c.id)
    )


async def unanswered_batches(
    db: AsyncConnection, connection_id: int, list_id: int, but_run: str
) -> list[tuple[int, int, int, str]]:
    """Return the unanswered batches of a list's other runs: id, phase, mapping id, members (JSON)."""
    query = batches_of_list(connection_id, list_id, runs.c.id != but_run, IS_SENT)
    return [(i, phase, mapping, members) for i, phase, mapping, members in await db.execute(query)]
