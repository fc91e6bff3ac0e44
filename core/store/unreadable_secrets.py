"""Stored secrets that can't be decrypted, because the secret key that encrypted them was lost."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.exclusions import Exclusion, dump
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.reencryption import encrypted_columns
from core.store.tables import erased_identities, erasures, inbox, mappings, salts, suppressions
from core.vault import Vault

# Rows of one statement.
_CHUNK = 500


async def any_stored(db: AsyncConnection, more: Sequence[Column[Any]] = ()) -> bool:
    """Return whether any secret is stored. `more` are columns with encrypted text in other tables."""
    for column in await encrypted_columns(db, more):
        if (await db.execute(select(column).where(column.is_not(None)).limit(1))).first():
            return True
    return False


async def find(
    db: AsyncConnection, vault: Vault, more: Sequence[Column[Any]] = ()
) -> dict[Column[Any], list[tuple[Any, ...]]]:
    """Return the primary keys of the rows whose secret no key decrypts, by column."""
    result = {}
    for column in await encrypted_columns(db, more):
        query = select(*column.table.primary_key.columns, column).where(column.is_not(None))
        rows = await db.stream(query)
        if keys := [tuple(key) async for *key, secret in rows if not _is_readable(vault, secret)]:
            result[column] = keys
    return result


def _is_readable(vault: Vault, secret: bytes | str) -> bool:
    return not secret or vault.can_decrypt(secret.encode() if isinstance(secret, str) else secret)  # "": deleted


async def forget_salts(db: AsyncConnection, names: Sequence[str]) -> None:
    """Delete salts: new ones are created at their next use."""
    await db.execute(delete(salts).where(salts.c.name.in_(names)))


async def forget_erased(db: AsyncConnection) -> None:
    """Delete the digests of erased and suppressed people, which nothing can be compared with."""
    await db.execute(delete(erased_identities))
    await db.execute(delete(suppressions))


async def forget_attributes(db: AsyncConnection, keys: Sequence[tuple[Any, ...]]) -> None:
    """Delete the attributes of live changes, which are sent without them. `keys` are primary keys."""
    primary = tuple_(*inbox.primary_key.columns)
    for begin in range(0, len(keys), _CHUNK):
        await db.execute(update(inbox).where(primary.in_(keys[begin : begin + _CHUNK])).values(sealed_fields=None))


async def forget_erasures(db: AsyncConnection, keys: Sequence[tuple[Any, ...]]) -> None:
    """Delete erasures in progress. `keys` are primary keys."""
    await db.execute(delete(erasures).where(erasures.c.id.in_([key for (key,) in keys])))


async def replace_exclusions(
    db: AsyncConnection, mapping: AudienceMapping, exclusions: Sequence[Exclusion], *, by: str
) -> None:
    """Replace the exclusions of a mapping. It has to be approved again, and no former state is kept to return to."""
    values: dict[str, Any] = {"exclusions": dump(exclusions), "change_before": None, "fields_before": None}
    if mapping.status not in (MappingStatus.DECLINED, MappingStatus.ARCHIVED):
        values |= {"status": MappingStatus.PROPOSED.value, "proposed_by": by, "decided_by": None, "decided_at": None}
        values["comment"] = None
    await db.execute(update(mappings).where(mappings.c.id == mapping.id).values(**values))
