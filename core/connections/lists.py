"""The lists of an Iterable project: fetching them, checking one, storing its name."""

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
from core.store import clock, connections, lists, mappings
from core.store.connections import Connection
from core.store.database import to_the_end
from core.store.mappings import AudienceMapping

# Parts of Iterable may not know a list that is younger than this, in seconds, and show its members late.
NEW_LIST_S = 300.0
# How long Iterable may take to answer, in seconds, while a person waits.
ANSWER_WITHIN_S = 30.0


async def ensure_list_known(engine: Engine, run: Run) -> None:
    """Fetch and store the list of a run if it was never synced to before.

    May be cancelled. Raises an IterableError if the list can't be synced to, or if the request fails.
    """
    async with engine.database.read() as db:
        if await lists.get(db, run.connection_id, run.list_id) is not None:
            return
        connection = await connections.by_id(db, run.connection_id)
    assert connection is not None
    try:
        target = await check_list(engine, connection, run.list_id, retry_policy=engine.retry_policy)
    except InvalidApiKeyError:
        await to_the_end(_record_refused_key(engine, connection))
        raise
    await to_the_end(_store_list(engine, connection, target))


async def is_new_in_iterable(engine: Engine, connection_id: int, list_id: int) -> bool:
    """Return whether a list is so young that Iterable may not know it yet (`is_just_created`)."""
    async with engine.database.read() as db:
        known = await lists.get(db, connection_id, list_id)
        of_list = await mappings.of_connection(db, connection_id, list_id)
        now = await clock.now(db)
    created_at = None if known is None else known.list_created_at
    return any(is_just_created(now, created_at, mapping) for mapping in of_list)


def is_just_created(now: float, list_created_at: int | None, mapping: AudienceMapping) -> bool:
    """Return whether the list of a mapping is younger than NEW_LIST_S.

    `now` is by the database's clock (UTC seconds), and `list_created_at` by Iterable's: when the list was created (ms).
    If Iterable did not report that, the time of the mapping's approval is used.
    """
    created_at = mapping.decided_at or mapping.created_at
    if list_created_at is not None:
        created_at = list_created_at / 1000
    return now - created_at < NEW_LIST_S


async def _record_refused_key(engine: Engine, connection: Connection) -> None:
    async with engine.database.write() as db:
        await connections.refused(db, connection)


async def _store_list(engine: Engine, connection: Connection, target: IterableList) -> None:
    async with engine.database.write() as db:
        await note_list(db, connection.id, target)


async def check_list(
    engine: Engine, connection: Connection, list_id: int, *, retry_policy: RetryPolicy = INTERACTIVE_RETRY
) -> IterableList:
    """Return a Standard list of the connection's project.

    Raises ListNotFoundError, ListNotStandardError, or another IterableError if the request fails.
    """
    async with engine.client(connection, retry_policy=retry_policy) as client:
        target = next((candidate for candidate in await client.lists() if candidate.id == list_id), None)
    if target is None:
        raise ListNotFoundError(list_id=list_id)
    if not target.is_standard:
        raise ListNotStandardError(list_id=list_id)
    return target


async def note_list(db: AsyncConnection, connection_id: int, target: IterableList) -> None:
    """Store a list's name. Raises AnotherListError if the id belonged to another list before."""
    known = await lists.get(db, connection_id, target.id)
    if known is None:
        await lists.add(db, connection_id, target.id, target.name, target.created_at)
    elif known.name != target.name and None not in (known.list_created_at, target.created_at):
        if known.list_created_at != target.created_at:
            raise AnotherListError(
                f'List {target.id} is not the list that was synced before: that one was called "{known.name}", '
                f'this one is called "{target.name}" and was created at another time. If the API key now belongs to '
                "another Iterable project, that project needs its own connection."
            )
        await lists.rename(db, connection_id, target.id, target.name)


async def fetch_lists(engine: Engine, connection: Connection) -> list[IterableList]:
    """Fetch the project's lists, within ANSWER_WITHIN_S. Raises an IterableError if the key does not work."""
    try:
        async with (
            asyncio.timeout(ANSWER_WITHIN_S),
            engine.client(connection, retry_policy=INTERACTIVE_RETRY) as client,
        ):
            return await client.lists()
    except TimeoutError as error:
        raise UnreachableError(
            f"Iterable did not answer within {ANSWER_WITHIN_S:.0f} seconds. Try again in a moment."
        ) from error
