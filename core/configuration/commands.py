"""The use cases of the configuration file: export, plan, apply."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.configuration import document, people, snapshot
from core.configuration.application import Application
from core.configuration.items import Items, items_of
from core.configuration.loader import LoadedFile, load
from core.configuration.mapping_matches import match
from core.configuration.model import ConfigurationFile
from core.configuration.plan import Change, Plan, compare
from core.configuration.problems import ConfigurationError, Problem
from core.configuration.targets import Lists, find_lists
from core.engine import Engine
from core.errors import ConflictError
from core.store import leases, salts

# The lease of the process that applies a file.
_LEASE = "configuration"


class ChangedByHandError(ConfigurationError):
    """A person changed settings since the file set them. Nothing was applied."""

    code = "changed_by_hand"


@dataclass(slots=True)
class Export:
    """The configuration as YAML, and notes about what it can't have."""

    text: str
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Prepared:
    loaded: LoadedFile
    plan: Plan
    lists: Lists
    salt: str


async def export(engine: Engine) -> Export:
    """Return what is stored as a configuration file. It contains references instead of secrets."""
    stored = await snapshot.take(engine)
    return Export(document.write(_content(stored.file)), stored.notes)


async def make_plan(engine: Engine, path: Path, *, prune: bool = False) -> Plan:
    """Return what applying a file would change. Nothing is changed.

    Raises ConfigurationError if the file has faults, and an IterableError if Iterable can't be asked for lists.
    """
    return (await _prepare(engine, path, prune=prune)).plan


async def apply(
    engine: Engine,
    path: Path,
    *,
    overwrite: bool = False,
    prune: bool = False,
    done: list[Change] | None = None,
) -> Plan:
    """Apply a file, and return its plan. `done` gets the changes that were made, also if one of them fails.

    `overwrite`: also undo what people changed by hand since the file was applied last. `prune`: also archive and remove
    what is not in the file. Raises what `make_plan` raises, ChangedByHandError, ConflictError if another process
    applies a file, and what the use cases of the changes raise.
    """
    async with _alone(engine):
        prepared = await _prepare(engine, path, prune=prune)
        if prepared.plan.by_hand and not overwrite:
            problems = [_by_hand(change) for change in prepared.plan.by_hand]
            raise ChangedByHandError(prepared.loaded.document.name, problems)
        application = Application(engine, prepared.plan, prepared.lists, prepared.salt)
        if done is not None:
            application.done = done
        await application.run()
    return prepared.plan


async def _prepare(engine: Engine, path: Path, *, prune: bool) -> _Prepared:
    loaded = load(path)
    loaded.file, problems = await people.resolve(engine, loaded)
    loaded.items = _with_secrets(items_of(loaded.file), loaded.items)
    keys, mismatches = match(loaded, await snapshot.take(engine))
    stored = await snapshot.take(engine, keys)
    async with engine.database.write() as db:
        salt = await salts.get_or_create(db, engine.vault, salts.CONFIGURATION)
    plan, impossible = compare(loaded, stored, salt, prune=prune)
    problems += [*mismatches, *impossible]
    lists, unknown = await find_lists(engine, loaded, plan)
    loaded.fail([*problems, *unknown])
    return _Prepared(loaded, plan, lists, salt)


def _with_secrets(items: Items, loaded: Items) -> Items:
    for name, item in items.items():
        item.secrets = loaded[name].secrets
    return items


def _by_hand(change: Change) -> Problem:
    changes = ", ".join(
        f"{name} (now {_text(change.settings[name][0])}, the file has {_text(change.settings[name][1])})"
        for name in change.by_hand
    )
    return Problem(
        change.line, f"{change.item.name} was changed by hand since the file was applied: {changes}. Take it over here."
    )


def _text(value: Any) -> str:
    return "nothing" if value in (None, [], {}, "") else str(value)


def _content(file: ConfigurationFile) -> dict[str, Any]:
    """Return the content of a file without defaults."""
    content = file.model_dump(mode="json", exclude_defaults=True)
    return {"version": file.version} | content


@asynccontextmanager
async def _alone(engine: Engine) -> AsyncIterator[None]:
    """Keep other processes from applying a file for the length of the block. Raises ConflictError if one does."""
    await engine.presence.reap_dead_workers()
    me = engine.presence.id
    async with engine.database.write() as db:
        holder = await leases.holder(db, _LEASE)
        is_free = holder is None and await leases.take(db, _LEASE, me, instead_of=None)
    if not is_free:
        raise ConflictError("A configuration file is being applied at the moment. Try again when that has ended.")
    try:
        yield
    finally:
        async with engine.database.write() as db:
            await leases.give_back(db, _LEASE, me)
