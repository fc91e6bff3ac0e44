"""The objects of a configuration as flat settings, which are compared: those of the file, and those that are stored."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from core.configuration.model import AlertRules, AnyRoute, ConfigurationFile, Connection, Entry, Mapping, Reference
from core.configuration.record import Record
from core.connections.manage import ENVIRONMENT
from core.store.managed import Managed

# Lists whose order has no meaning.
_SETS = ("operators", "approvers", "events", "recipients", "exclude.domains", "exclude.files", "exclude.mappings")

# What tells a mapping from another, and what is not in its plain settings.
_IDENTITY = ("audience", "audience_name", "list", "new_list")
_PARTS = ("schedules", "source", "alert_rules", "limits", "exclude")


@dataclass(frozen=True, slots=True)
class ItemName:
    """The kind of an object, and its name in the file: Shop, Shop/buyers, Shop/buyers/Each morning."""

    kind: Managed
    name: str


@dataclass(slots=True)
class Item:
    """An object with its settings (JSON values by name, such as `limits.added`) and the references to its secrets.

    `place` is where the file describes it, and `parent` the object that it is in. `secrets` are the values of secrets
    that are known. An object that is stored has an id, and a record if a file manages it.
    """

    name: ItemName
    entry: Entry
    place: tuple[str | int, ...]
    settings: dict[str, Any]
    references: dict[str, Reference] = field(default_factory=dict)
    parent: ItemName | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    id: int = 0
    record: Record | None = None


Items = dict[ItemName, Item]


def items_of(file: ConfigurationFile) -> Items:
    """Return the objects of a configuration, in its order, connections first and routes last."""
    items = [item for name, entry in file.connections.items() for item in _of_connection(name, entry)]
    items += [_of_route(name, entry) for name, entry in file.routes.items()]
    return {item.name: item for item in items}


def _of_connection(name: str, entry: Connection) -> Iterator[Item]:
    place = ("connections", name)
    hidden = {"key", "mappings", "alert_rules"}
    references = {"key": entry.key}
    if name.startswith(ENVIRONMENT):  # each sync on the command line chooses these
        hidden |= {"user_id", "rate"}
        references = {}
    settings = _plain(entry, hidden) | _rules(entry.alert_rules)
    connection = Item(ItemName(Managed.CONNECTION, name), entry, place, settings, references)
    yield connection
    for key, mapping in entry.mappings.items():
        yield from _of_mapping(connection, key, mapping)


def _of_mapping(connection: Item, key: str, entry: Mapping) -> Iterator[Item]:
    name, place = f"{connection.name.name}/{key}", (*connection.place, "mappings", key)
    settings = _plain(entry, {*_IDENTITY, *_PARTS})
    for part in ("limits", "exclude"):
        settings |= {f"{part}.{each}": value for each, value in _plain(getattr(entry, part), set(), part).items()}
    references = {}
    if entry.source is not None:
        settings |= {f"source.{each}": value for each, value in _plain(entry.source, {"address_from"}).items()}
        if entry.source.address_from is not None:
            references["source.address_from"] = entry.source.address_from
    settings |= _rules(entry.alert_rules)
    mapping = Item(ItemName(Managed.MAPPING, name), entry, place, settings, references, connection.name)
    yield mapping
    for schedule_name, schedule in entry.schedules.items():
        yield Item(
            ItemName(Managed.SCHEDULE, f"{name}/{schedule_name}"),
            schedule,
            (*place, "schedules", schedule_name),
            _plain(schedule, set()),
            parent=mapping.name,
        )


def _of_route(name: str, entry: AnyRoute) -> Item:
    references: dict[str, Reference] = {}
    for setting, value in entry:
        if isinstance(value, Reference):
            references[setting] = value
        elif setting == "headers":
            references |= {f"headers.{header}": reference for header, reference in value.items()}
    settings = _plain(entry, {*references, "headers"})
    return Item(ItemName(Managed.ROUTE, name), entry, ("routes", name), settings, references)


def _plain(entry: Entry, hidden: set[str], part: str = "") -> dict[str, Any]:
    values = entry.model_dump(mode="json", exclude=hidden)
    in_set = [name for name in values if (f"{part}.{name}" if part else name) in _SETS]
    return values | {name: sorted(set(values[name])) for name in in_set}


def _rules(rules: AlertRules) -> dict[str, Any]:
    return {f"alert_rules.{name}": value for name, value in rules.model_dump().items()}
