"""Finds the stored mappings that a configuration file describes."""

from collections.abc import Sequence

from core.configuration.items import ItemName
from core.configuration.loader import LoadedFile
from core.configuration.model import Mapping
from core.configuration.problems import Problem
from core.configuration.record import Record
from core.configuration.snapshot import Snapshot
from core.store.managed import Managed
from core.store.mappings import AudienceMapping, MappingStatus


def match(loaded: LoadedFile, snapshot: Snapshot) -> tuple[dict[int, str], list[Problem]]:
    """Return the keys of stored mappings by id, as the file has them, and what is wrong with that.

    A mapping is known by the key with which the file set it last, or else by its audience and list.
    """
    keys, problems = dict[int, str](), list[Problem]()
    for name, connection in loaded.file.connections.items():
        stored = snapshot.items.get(ItemName(Managed.CONNECTION, name))
        rest = [each for each in snapshot.mappings if stored is not None and each.connection_id == stored.id]
        pairs = {key: mapping for key in connection.mappings if (mapping := _by_key(rest, key)) is not None}
        for key, wanted in connection.mappings.items():
            free = [each for each in rest if each not in pairs.values()]
            if key not in pairs and (mapping := _by_target(free, wanted, snapshot)) is not None:
                pairs[key] = mapping
        for key, mapping in pairs.items():
            keys[mapping.id] = key
            if (message := _why_not(mapping, connection.mappings[key], snapshot)) is not None:
                problems.append(loaded.problem(("connections", name, "mappings", key), f"`{key}` {message}"))
    return keys, problems


def _by_key(rest: Sequence[AudienceMapping], key: str) -> AudienceMapping | None:
    for mapping in rest:
        record = Record.load(mapping.managed)
        if record is not None and record.key == key:
            return mapping
    return None


def _by_target(free: Sequence[AudienceMapping], wanted: Mapping, snapshot: Snapshot) -> AudienceMapping | None:
    """Return the mapping with the audience and the list, rather one that was not declined."""
    same = [each for each in free if _is_same(each, wanted, snapshot)]
    same.sort(key=lambda each: each.status is MappingStatus.DECLINED)
    return same[0] if same else None


def _is_same(mapping: AudienceMapping, wanted: Mapping, snapshot: Snapshot) -> bool:
    if wanted.audience is not None and not mapping.is_of(wanted.audience):
        return False
    if wanted.new_list is not None:
        return snapshot.list_names.get(mapping.id) == wanted.new_list
    return mapping.list_id == wanted.list


def _why_not(mapping: AudienceMapping, wanted: Mapping, snapshot: Snapshot) -> str | None:
    if mapping.is_live:
        return "is fed live by mParticle, which makes it. Remove it from the file."
    if not _is_same(mapping, wanted, snapshot):
        return (
            "had another audience or list before, and these stay. Give the new mapping a key of its own, and archive "
            "or remove the old one."
        )
    return None
