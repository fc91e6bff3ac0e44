"""New lists: created in Iterable once the mapping or its first run is approved.

Until then a new list has a negative placeholder id (`core.store.mappings.new_list_id`).
"""

import asyncio
import dataclasses

from core.connections.lists import ANSWER_WITHIN_S
from core.engine import Engine
from core.iterable import IterableList, RetryPolicy, UnreachableError
from core.iterable.retry import INTERACTIVE_RETRY
from core.store import connections, lists, mappings
from core.store.connections import Connection
from core.store.mappings import is_new_list

# A request without an answer is not repeated, because it may have created the list.
_ONCE = dataclasses.replace(INTERACTIVE_RETRY, max_attempts=1)
# How often to check whether a run that plans for the list has released its lock, in seconds.
POLL_S = 0.3


async def create_list(engine: Engine, connection: Connection, name: str) -> IterableList:
    """Return the Standard list of a name, created if there is none. Raises an IterableError if that fails.

    The name is looked up first, because an earlier request whose answer was lost may have created the list. So no
    second list is created.
    """
    known = await _find(engine, connection, name, INTERACTIVE_RETRY)
    if known is not None:
        return known
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S), engine.client(connection, retry_policy=_ONCE) as client:
            list_id = await client.create_list(name)
    except TimeoutError as error:
        raise UnreachableError("Iterable did not answer in time. Try again: no second list is created.") from error
    created = await _find(engine, connection, name, INTERACTIVE_RETRY)
    # Iterable may not list it yet
    return created if created is not None and created.id == list_id else IterableList(list_id, name, "Standard")


async def create_list_of_mapping(engine: Engine, mapping_id: int) -> None:
    """Create the list of a mapping if it is a new list, and store its id in the mapping and its runs.

    Any process may repeat it at any point. The caller checks that the mapping, or a run of it, was approved. Raises an
    IterableError if the list can't be created.
    """
    async with engine.database.read() as db:
        mapping = await mappings.by_id(db, mapping_id)
        if mapping is None or not is_new_list(mapping.list_id):
            return
        connection = await connections.by_id(db, mapping.connection_id)
        placeholder = await lists.get(db, mapping.connection_id, mapping.list_id)
    assert connection is not None
    assert placeholder is not None
    target = await create_list(engine, connection, placeholder.name)
    while not await _assign(engine, mapping_id, target):  # noqa: ASYNC110  # another process releases it
        await asyncio.sleep(POLL_S)


async def _assign(engine: Engine, mapping_id: int, target: IterableList) -> bool:
    """Set the list id of a mapping and its runs. Returns False while a run holds the lock of the placeholder."""
    async with engine.database.write() as db:
        mapping = await mappings.by_id(db, mapping_id)
        if mapping is None or not is_new_list(mapping.list_id):
            return True
        placeholder_key = (mapping.connection_id, mapping.list_id)
        if not await lists.replace_placeholder(db, *placeholder_key, target.id, target.name, target.created_at):
            return False
        await mappings.assign_list(db, mapping, target.id)
    return True


async def _find(engine: Engine, connection: Connection, name: str, retry_policy: RetryPolicy) -> IterableList | None:
    async with engine.client(connection, retry_policy=retry_policy) as client:
        project_lists = await client.lists()
    return next((target for target in project_lists if target.is_standard and target.name == name), None)
