"""A lost secret key: gives up what only that key could decrypt, so that syncs work again.

Without it, no sync works: the salts of this installation are encrypted, too. What people entered (keys of Iterable,
secrets of routes) stays unreadable until it is entered again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column
from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.models.exclusions import ExclusionKind
from core.privacy.key_rotation import refuse_other_processes
from core.store import audit_log, connections, mappings, salts, unreadable_secrets
from core.store.audit_log import COMMAND_LINE, AuditAction
from core.store.tables import erasures, inbox
from core.store.tables import salts as salts_table


@dataclass(frozen=True, slots=True)
class LostSecrets:
    """What can't be decrypted: how many values by table, the names of salts, and whose excluded addresses are lost."""

    by_table: Counter[str]
    salts: frozenset[str]
    excluding: tuple[str, ...]


async def find_lost(engine: Engine, more: Sequence[Column[Any]] = ()) -> LostSecrets:
    """Return what can't be decrypted. `more` are columns with encrypted text in other tables. Nothing is changed."""
    async with engine.database.read_rows() as db:
        return (await _find(db, engine, more))[0]


async def give_up_lost(engine: Engine, more: Sequence[Column[Any]] = ()) -> LostSecrets:
    """Delete the salts that can't be decrypted and what depends on them, and return what could not be decrypted.

    - Mappings lose their excluded addresses, and have to be approved again.
    - The marks of erased and of suppressed people are deleted, and erasures in progress.
    - Live changes lose their data fields. Data fields are sent again by the next sync of each mapping.

    Raises ConflictError if other processes run.
    """
    await refuse_other_processes(engine)
    async with engine.database.write() as db:
        lost, keys = await _find(db, engine, more)
        await unreadable_secrets.forget_salts(db, sorted(lost.salts))
        if salts.ERASURE in lost.salts:
            await unreadable_secrets.forget_erased(db)
        if salts.EXCLUSIONS in lost.salts:
            await _forget_excluded(db)
        await unreadable_secrets.forget_attributes(db, keys.get(inbox.c.sealed_fields, []))
        await unreadable_secrets.forget_erasures(db, keys.get(erasures.c.identities, []))
        await audit_log.add(
            db,
            team_id=None,
            actor=COMMAND_LINE,
            action=AuditAction.SECRET_KEY_LOST,
            subject="secret_key",
            after={"unreadable": dict(sorted(lost.by_table.items()))},
        )
    return lost


async def _find(
    db: AsyncConnection, engine: Engine, more: Sequence[Column[Any]]
) -> tuple[LostSecrets, dict[Column[Any], list[tuple[Any, ...]]]]:
    keys = await unreadable_secrets.find(db, engine.vault, more)
    by_table = Counter({str(column.table.name): len(of_column) for column, of_column in keys.items()})
    lost = frozenset(str(name) for (name,) in keys.get(salts_table.c.value, []))
    excluding = await _excluding(db) if salts.EXCLUSIONS in lost else []
    return LostSecrets(by_table, lost, tuple(each.label for each in excluding)), keys


async def _excluding(db: AsyncConnection) -> list[mappings.AudienceMapping]:
    """Return the mappings that exclude addresses."""
    of_all = [await mappings.of_connection(db, each.id) for each in await connections.everyone(db)]
    return [
        mapping
        for of_one in of_all
        for mapping in of_one
        if any(each.kind is ExclusionKind.ADDRESS for each in mapping.exclusions)
    ]


async def _forget_excluded(db: AsyncConnection) -> None:
    for mapping in await _excluding(db):
        kept = [each for each in mapping.exclusions if each.kind is not ExclusionKind.ADDRESS]
        await unreadable_secrets.replace_exclusions(db, mapping, kept, by=COMMAND_LINE)
        await audit_log.add(
            db,
            team_id=None,
            actor=COMMAND_LINE,
            action=AuditAction.MAPPING_CHANGED,
            subject=f"mapping:{mapping.id}",
            before={"excluded_addresses": len(mapping.exclusions) - len(kept)},
            after={"excluded_addresses": 0},
        )
