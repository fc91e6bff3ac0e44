"""The lists and keys of a configuration file, as Iterable knows them: checked before anything is changed."""

import dataclasses
from collections.abc import Mapping

from core.configuration.items import Item, ItemName
from core.configuration.loader import LoadedFile
from core.configuration.model import Connection as ConnectionEntry
from core.configuration.model import Mapping as MappingEntry
from core.configuration.plan import Action, Plan
from core.configuration.problems import Problem
from core.configuration.snapshot import is_of_environment, split_name
from core.connections.lists import fetch_lists
from core.engine import Engine
from core.errors import SettingsError
from core.iterable import InvalidApiKeyError, IterableList
from core.store import connections
from core.store.connections import Connection, project_of
from core.store.managed import Managed

#: The lists of connections, by the name of the connection and the id of the list.
Lists = dict[tuple[str, int], IterableList]


async def find_lists(engine: Engine, loaded: LoadedFile, plan: Plan) -> tuple[Lists, list[Problem]]:
    """Return the lists of the connections that get a key or mappings, and what is wrong with keys and lists.

    Raises an IterableError if Iterable can't be asked.
    """
    known, problems = Lists(), list[Problem]()
    added = [plan.wanted[change.item] for change in plan.changes if change.action is Action.ADD]
    for name, item in plan.wanted.items():
        if name.kind is not Managed.CONNECTION or not isinstance(item.entry, ConnectionEntry):
            continue
        new = [each for each in added if each.parent == name and isinstance(each.entry, MappingEntry)]
        wants_list = [each for each in new if getattr(each.entry, "list", None) is not None]
        has_new_key = any(change.item == name and "key" in change.settings for change in plan.changes)
        if not (wants_list or has_new_key or item in added):
            continue
        try:
            fetched = await fetch_lists(engine, await _candidate(engine, item, item.entry, plan.stored))
        except (InvalidApiKeyError, SettingsError) as error:
            problems.append(loaded.problem((*item.place, "key"), error.message))
            continue
        known |= {(name.name, each.id): each for each in fetched}
        problems += [problem for each in wants_list if (problem := _check(loaded, each, known)) is not None]
    return known, problems


def _check(loaded: LoadedFile, mapping: Item, known: Lists) -> Problem | None:
    assert isinstance(mapping.entry, MappingEntry)
    assert mapping.parent is not None
    list_id = mapping.entry.list or 0
    target = known.get((mapping.parent.name, list_id))
    place = (*mapping.place, "list")
    if target is None:
        return loaded.problem(place, f"The project has no list {list_id}. Check its id in Iterable.")
    if not target.is_standard:
        return loaded.problem(place, f"List {list_id} is no static list, so nothing can be synced to it.")
    return None


async def _candidate(engine: Engine, item: Item, entry: ConnectionEntry, stored: Mapping[ItemName, Item]) -> Connection:
    """Return the connection as the file has it, without storing it. Raises NoApiKeyError if its key is not known."""
    known = stored.get(item.name)
    if known is not None:
        async with engine.database.read() as db:
            connection = await connections.by_id(db, known.id)
        assert connection is not None
    else:
        connection = Connection(
            id=0,
            name=split_name(item.name.name)[1],
            api_key=None,
            key_last4="",
            rate_limit_key="",
            data_center=entry.data_center,
            user_id_field=entry.user_id,
            requests_per_second=entry.rate,
            key_rejected_at=None,
            created_at=0.0,
        )
    key = engine.api_key(connection) if is_of_environment(item.name.name) else item.secrets["key"]
    encrypted = None if is_of_environment(item.name.name) else engine.vault.encrypt(key)
    return dataclasses.replace(
        connection, api_key=encrypted, rate_limit_key=project_of(key), data_center=entry.data_center
    )
