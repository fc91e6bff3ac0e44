"""The type-ahead menu of Iterable's lists."""

from dataclasses import dataclass
from typing import Self

from slack_sdk.models.blocks import Option

from bot.services import Services
from bot.ui.blocks import option
from core.connections.mapping_lifecycle import NewList
from core.connections.new_lists import create_list
from core.errors import InputError, SyncError
from core.iterable import IterableList
from core.store.connections import Connection

# Slack's limit; one option may be the new list.
MOST_OPTIONS = 100
# A name of this length fits into an option's value in any alphabet.
NEW_NAME_MAX = 100

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


async def resolve(services: Services, connection: Connection, choice: ListChoice) -> IterableList | NewList:
    """Return the chosen list. A new one is not created yet. Raises a SyncError if it can't be used."""
    if choice.new_name is not None:
        known = await services.directory.search(connection, choice.new_name)
        return next((each for each in known if each.name == choice.new_name), NewList(choice.new_name))
    for each in await services.directory.search(connection, str(choice.list_id)):
        if each.id == choice.list_id:
            return each
    raise NoSuchListError("This list no longer exists, or is not a Standard list. Choose another one.")


async def resolve_approved(services: Services, connection: Connection, choice: ListChoice) -> IterableList:
    """Return the chosen list, after creating it if it is new: the mapping is approved with it. Raises a SyncError."""
    target = await resolve(services, connection, choice)
    if isinstance(target, NewList):
        target = await create_list(services.engine, connection, target.name)
        services.directory.add(connection, target)
    return target
