"""The type-ahead menu of Iterable's lists."""

import asyncio
import dataclasses
from dataclasses import dataclass
from typing import Self

from slack_sdk.models.blocks import Option

from bot.services import Services
from bot.ui.blocks import option
from core.connections.lists import ANSWER_WITHIN_S, fetch_lists
from core.errors import InputError, SyncError
from core.iterable import IterableList, UnreachableError
from core.iterable.retry import INTERACTIVE_RETRY
from core.store.connections import Connection

# Slack's limit; one option may be the new list.
MOST_OPTIONS = 100
# A name of this length fits into an option's value in any alphabet.
NEW_NAME_MAX = 100

# A person is waiting. And a request without an answer is not repeated, because it may have created the list.
_ONCE = dataclasses.replace(INTERACTIVE_RETRY, max_attempts=1)

_NEW = "new:"
_TROUBLE = "trouble"


class NoSuchListError(InputError):
    """The chosen list does not exist, or is not a Standard list."""

    code = "no_such_list"


@dataclass(frozen=True, slots=True)
class ListChoice:
    """A chosen list: an existing one, or (`new_name`) one to create."""

    list_id: int | None = None
    new_name: str | None = None

    @classmethod
    def read(cls, value: str | None) -> Self | None:
        """Read the value of an option; None if it is not a list."""
        if value is None or value == _TROUBLE:
            return None
        if value.startswith(_NEW):
            return cls(new_name=value.removeprefix(_NEW))
        return cls(list_id=int(value))


async def list_options(services: Services, connection: Connection, typed: str) -> list[Option]:
    """Return the lists whose name or id contains the text, and an option for a new list unless the name exists."""
    name = typed.strip()
    try:
        lists = await services.directory.search(connection, name)
    except SyncError:
        return [option("Iterable does not answer. Close this, and try again in a moment.", _TROUBLE)]
    options = [option(each.name or f"List {each.id}", str(each.id), f"List {each.id}") for each in lists]
    options = options[: MOST_OPTIONS - 1]
    is_there = any(each.name.strip().casefold() == name.casefold() for each in lists)
    if name and not is_there and len(name) <= NEW_NAME_MAX and name.isprintable():
        options.append(option(f'Create a new list "{name}"', f"{_NEW}{name}"))
    return options


async def resolve(services: Services, connection: Connection, choice: ListChoice) -> IterableList:
    """Return the chosen list, after creating it if it is new. Raises a SyncError if that fails."""
    if choice.new_name is not None:
        return await _create(services, connection, choice.new_name)
    for each in await services.directory.search(connection, str(choice.list_id)):
        if each.id == choice.list_id:
            return each
    raise NoSuchListError("This list no longer exists, or is not a Standard list. Choose another one.")


async def _create(services: Services, connection: Connection, name: str) -> IterableList:
    # An earlier request may have created the list and lost the answer, so look for its name first.
    same_name = [
        each for each in await fetch_lists(services.engine, connection) if each.is_standard and each.name == name
    ]
    if same_name:
        return same_name[0]
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S), services.engine.client(connection, patience=_ONCE) as client:
            list_id = await client.create_list(name)
    except TimeoutError as error:
        raise UnreachableError("Iterable did not answer in time. Try again: no second list is created.") from error
    made = next((each for each in await fetch_lists(services.engine, connection) if each.id == list_id), None)
    if made is None:  # Iterable's listing is not up to date yet
        made = IterableList(list_id, name, "Standard")
    services.directory.add(connection, made)
    return made
