"""The lists of an Iterable project: fetch them, check one, remember its name."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import AnotherListError
from core.iterable import (
    InvalidApiKeyError,
    IterableList,
    ListNotFoundError,
    ListNotStandardError,
    RetryPolicy,
    UnreachableError,
)
from core.iterable.retry import INTERACTIVE_RETRY
from core.models.run import Run
from core.store import connections, lists, mappings
from core.store.connections import Connection
from core.store.database import to_the_end

# A list younger than this, in seconds, may be unknown to a part of Iterable, and show members late.
NEW_LIST_S = 300.0
# How long Iterable has to say whether it takes a key, in seconds: a person waits for it.
ANSWER_WITHIN_S = 30.0


async def ensure_list_known(engine: Engine, this: Run) -> None:
    """See to it that the list of a run is known, asking Iterable where it was never synced to.

    May be cancelled. Raises an IterableError where it is of no use, or where Iterable can't be asked.
    """
    async with engine.database.read() as db:
        if await lists.get(db, this.connection_id, this.list_id) is not None:
            return
        connection = await connections.by_id(db, this.connection_id)
    assert connection is not None
    try:
        target = await check_list(engine, connection, this.list_id, patience=engine.patience)
    except InvalidApiKeyError:
        await to_the_end(_note_refusal(engine, connection))
        raise
    await to_the_end(_note(engine, connection, target))


async def was_just_created(engine: Engine, this: Run) -> bool:
    """Whether the list of a run was created minutes ago. If Iterable has not said when, its approval counts."""
    async with engine.database.read() as db:
        known = await lists.get(db, this.connection_id, this.list_id)
        mapping = await mappings.by_id(db, this.mapping_id)
    assert mapping is not None
    created_at = mapping.decided_at or mapping.created_at
    if known is not None and known.list_created_at is not None:
        created_at = known.list_created_at / 1000
    return engine.clock.time() - created_at < NEW_LIST_S


async def _note_refusal(engine: Engine, connection: Connection) -> None:
    async with engine.database.write() as db:
        await connections.refused(db, connection)


async def _note(engine: Engine, connection: Connection, target: IterableList) -> None:
    async with engine.database.write() as db:
        await note_list(db, connection.id, target)


async def check_list(
    engine: Engine, connection: Connection, list_id: int, *, patience: RetryPolicy = INTERACTIVE_RETRY
) -> IterableList:
    """Return a list of the connection's project. Raises ListGoneError or ListNotStandardError where it is of no use."""
    async with engine.client(connection, patience=patience) as client:
        found = next((each for each in await client.lists() if each.id == list_id), None)
    if found is None:
        raise ListNotFoundError(list_id=list_id)
    if not found.is_standard:
        raise ListNotStandardError(list_id=list_id)
    return found


async def note_list(db: AsyncConnection, connection_id: int, target: IterableList) -> None:
    """Store what Iterable says of a list. Raises InputError where it is another list than the one known here."""
    known = await lists.get(db, connection_id, target.id)
    if known is None:
        await lists.add(db, connection_id, target.id, target.name, target.created_at)
    elif known.name != target.name and None not in (known.list_created_at, target.created_at):
        if known.list_created_at != target.created_at:
            raise AnotherListError(
                f'List {target.id} is not the list that was synced here before: that one was called "{known.name}", '
                f'this one is called "{target.name}" and was created at another time. If the API key is of another '
                "Iterable project now, that project needs a connection of its own."
            )
        await lists.rename(db, connection_id, target.id, target.name)


async def fetch_lists(engine: Engine, connection: Connection) -> list[IterableList]:
    """Ask Iterable for the project's lists, giving up after seconds. Raises an IterableError where the key does not
    work."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S), engine.client(connection, patience=INTERACTIVE_RETRY) as client:
            return await client.lists()
    except TimeoutError as error:
        raise UnreachableError(
            f"Iterable did not answer within {ANSWER_WITHIN_S:.0f} seconds. Try again in a moment."
        ) from error
