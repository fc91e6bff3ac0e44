"""The plan of a configuration file: how what is stored differs from it, and what of that needs approval.

A setting is compared three ways: as the file has it, as it is stored, and as the file set it last. If it is stored
otherwise than the file set it, a person changed it by hand since; then nothing is applied without `overwrite`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from core.configuration.items import Item, ItemName, Items
from core.configuration.loader import LoadedFile
from core.configuration.model import Mapping, Source
from core.configuration.problems import Problem
from core.configuration.record import Record, digest_of
from core.configuration.snapshot import Snapshot
from core.store.managed import Managed

#: Settings of a mapping that decide who is on its list: a change of them needs approval.
DECISIVE = frozenset({"mode", "removals", "fields", "exclude.domains", "exclude.files", "exclude.mappings"})
# What a file may leave to people: without it, what is stored stays.
_OPTIONAL = ("paused", "project_type", "sender")
_NO_SOURCE: dict[str, Any] = {f"source.{name}": None for name in Source.model_fields if name != "address_from"}
_EMPTY: tuple[Any, ...] = (None, [], {})


class Action(StrEnum):
    """What happens to an object."""

    ADD = "add"
    CHANGE = "change"
    RESTORE = "restore"
    """An archived mapping is restored, which needs approval."""
    ARCHIVE = "archive"
    REMOVE = "remove"
    MANAGE = "manage"
    """Nothing changes, but the file manages it from now on."""
    RELEASE = "release"
    """It is no longer in the file: it stays as it is, and people may change it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an object. `settings` are the values before and after, by name.

    `by_hand` are those settings that a person has changed since the file set them. `line` is where the file has it.
    """

    item: ItemName
    action: Action
    settings: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    needs_approval: bool = False
    by_hand: tuple[str, ...] = ()
    line: int | None = None


@dataclass(slots=True)
class Plan:
    """All changes, in the order in which they are made, and what is stored but not in the file."""

    changes: list[Change] = field(default_factory=list)
    not_in_file: list[ItemName] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wanted: Items = field(default_factory=dict)
    stored: Items = field(default_factory=dict)
    skipped: set[ItemName] = field(default_factory=set)
    """Mappings of the file that were declined."""

    @property
    def by_hand(self) -> list[Change]:
        """The changes that would undo what a person did by hand."""
        return [change for change in self.changes if change.by_hand]


def compare(loaded: LoadedFile, snapshot: Snapshot, salt: str, *, prune: bool) -> tuple[Plan, list[Problem]]:
    """Return the plan, and what can't be done. `salt` keys the digests of the records."""
    plan = Plan(notes=list(snapshot.notes), wanted=loaded.items, stored=snapshot.items)
    problems = list[Problem]()
    for name, item in loaded.items.items():
        line = loaded.document.line_of(item.place)
        stored = snapshot.items.get(name)
        if item.parent in plan.skipped:
            continue
        if stored is not None:
            change = _change(item, stored, salt, line)
            problems += _possible(loaded, item, stored, change)
        elif _stays_declined(snapshot, item, salt):
            plan.skipped.add(name)
            plan.notes.append(f"{name.name} was declined. It is proposed again once its entry in the file changes.")
            continue
        else:
            settings = {key: (None, value) for key, value in _chosen(item).items()}
            change = Change(name, Action.ADD, settings, needs_approval=name.kind is Managed.MAPPING, line=line)
        if change.settings or change.action is not Action.CHANGE:
            plan.changes.append(change)
    _find_rest(plan, prune=prune)
    return plan, problems + _of_schedules(loaded, plan)


def _chosen(item: Item) -> dict[str, Any]:
    """Return the settings of a new object that are not the default, and those of a mapping that tell it from others."""
    dumped = item.entry.model_dump(mode="json", exclude_defaults=True)
    target = {name: dumped[name] for name in ("audience", "list", "new_list") if name in dumped}
    chosen = {name: value for name, value in item.settings.items() if name.partition(".")[0] in dumped}
    return target | {name: value for name, value in chosen.items() if value not in _EMPTY}


def _change(item: Item, stored: Item, salt: str, line: int | None) -> Change:
    """Return how a stored object differs from the file. The action is CHANGE, without settings, if it does not."""
    is_mapping = item.name.kind is Managed.MAPPING
    before, after = (_NO_SOURCE if is_mapping else {}) | stored.settings, dict(item.settings)
    if is_mapping and isinstance(item.entry, Mapping) and item.entry.source is None:
        after = _NO_SOURCE | after
    settings, by_hand = dict[str, tuple[Any, Any]](), list[str]()
    digests = stored.record.digests if stored.record is not None else {}
    for name in dict.fromkeys([*after, *before]):
        old, new = before.get(name), after.get(name)
        if new is None and name in _OPTIONAL:
            new = None if name == "paused" and digests.get(name) == digest_of(salt, True) else old
        if new != old and not (name == "paused" and not new and not old):
            settings[name] = (old, new)
            if digests.get(name) not in (None, digest_of(salt, old)):
                by_hand.append(name)
    for name in dict.fromkeys([*item.references, *stored.secrets]):
        secret, new_secret = stored.secrets.get(name), item.secrets.get(name)
        if secret != new_secret and (name in item.references or name in stored.references):
            settings[name] = (_shown(name, secret), _shown(name, new_secret, is_other=secret is not None))
            if secret is not None and digests.get(name) not in (None, digest_of(salt, secret)):
                by_hand.append(name)
    action = _action(settings, is_managed=stored.record is not None)
    needs_approval = is_mapping and (action is Action.RESTORE or bool(DECISIVE & settings.keys()))
    return Change(item.name, action, settings, needs_approval, tuple(by_hand), line)


def _action(settings: dict[str, tuple[Any, Any]], *, is_managed: bool) -> Action:
    if "archived" in settings:
        return Action.ARCHIVE if settings["archived"][1] else Action.RESTORE
    return Action.CHANGE if settings or is_managed else Action.MANAGE


def _shown(name: str, secret: str | None, *, is_other: bool = False) -> str:
    if secret is None:
        return "none"
    return f"...{secret[-4:]}" if name == "key" else "another secret" if is_other else "a secret"


def _possible(loaded: LoadedFile, item: Item, stored: Item, change: Change) -> list[Problem]:
    """Return why a change of a mapping is not possible, if it is not."""
    if not isinstance(item.entry, Mapping) or not isinstance(stored.entry, Mapping):
        return []
    others = change.settings.keys() - {"archived", "paused"}
    if stored.entry.archived and item.entry.archived and others:
        message = f"{item.name.name} is archived, so its settings stay. Restore it first: leave archived out."
        return [loaded.problem(item.place, message)]
    stays_paused = stored.entry.paused and change.settings.get("paused", (None, True))[1]
    if stays_paused and (decisive := sorted(DECISIVE & others)):
        message = f"{item.name.name} is paused, so {', '.join(decisive)} can't be changed. Resume it first."
        return [loaded.problem(item.place, message)]
    return []


def _stays_declined(snapshot: Snapshot, item: Item, salt: str) -> bool:
    """Return whether an approver declined a mapping, and the file has it as it was then."""
    declined = snapshot.declined.get(item.name)
    record = Record.load(declined.managed) if declined is not None else None
    return record is not None and record.digests == item_digests(item, salt)


def item_digests(item: Item, salt: str) -> dict[str, str]:
    """Return the digests of the settings that the file decides, and of the secrets, of an object."""
    values = {name: value for name, value in item.settings.items() if value is not None or name not in _OPTIONAL}
    return {name: digest_of(salt, value) for name, value in (values | item.secrets).items()}


def _find_rest(plan: Plan, *, prune: bool) -> None:
    """Add what becomes of stored objects that the file does not have."""
    ended = set[ItemName]()
    for name, item in plan.stored.items():
        if name in plan.wanted:
            continue
        is_archived = isinstance(item.entry, Mapping) and item.entry.archived
        if prune and name.kind is Managed.MAPPING and not is_archived:
            ended.add(name)
            plan.changes.append(Change(name, Action.ARCHIVE))
        elif prune and name.kind is not Managed.CONNECTION and not is_archived and item.parent not in ended:
            plan.changes.append(Change(name, Action.REMOVE))
        elif item.record is not None:
            plan.changes.append(Change(name, Action.RELEASE))
        if name.kind is Managed.CONNECTION and prune:
            plan.notes.append(f"Connection {name.name} is not removed: its ledgers would be lost. Remove it by hand.")
        if not is_archived and not prune:
            plan.not_in_file.append(name)


def _of_schedules(loaded: LoadedFile, plan: Plan) -> list[Problem]:
    """Return what is wrong with schedules that stay: their names are taken, and they need a source."""
    removed = {change.item for change in plan.changes if change.action is Action.REMOVE}
    ended = {change.item for change in plan.changes if change.action is Action.ARCHIVE}
    staying = [
        item
        for name, item in plan.stored.items()
        if name.kind is Managed.SCHEDULE and name not in plan.wanted and name not in removed
    ]
    problems = []
    for item in staying:
        schedule, mapping = item.place[-1], item.parent
        for wanted in plan.wanted.values():
            is_twin = wanted.name.kind is Managed.SCHEDULE and wanted.place[-1] == schedule
            if is_twin and wanted.place[1] == item.place[1]:
                message = f'"{schedule}" is the name of a schedule that is not in the file. Prune, or choose another.'
                problems.append(loaded.problem(wanted.place, message))
        owner = plan.wanted.get(mapping) if mapping is not None else None
        if owner is not None and mapping not in ended and getattr(owner.entry, "source", None) is None:
            message = f'Its schedule "{schedule}", which is not in the file, needs a source. Prune, or add it here.'
            problems.append(loaded.problem(owner.place, message))
    return problems
