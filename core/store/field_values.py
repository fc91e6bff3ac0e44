"""The data fields of the members of batches, encrypted, until Iterable's answer is recorded.

They are stored because a request that is repeated has to be the same, also after a crash. What remains afterwards is a
digest in the ledger.
"""

from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.batch import BatchFields, FieldsOfMember
from core.store.tables import batches, field_values, runs
from core.vault import Vault

# Batches whose run has ended for good, deleted in one transaction.
_DROPPED_AT_ONCE = 200
_ENDED = ("succeeded", "cancelled", "expired", "planned")
_UNNEEDED = (
    select(field_values.c.batch_id)
    .join(batches, batches.c.id == field_values.c.batch_id)
    .join(runs, runs.c.id == batches.c.run_id)
    .where(runs.c.status.in_(_ENDED))
)


async def add(db: AsyncConnection, vault: Vault, fields: Mapping[int, BatchFields]) -> None:
    """Store the data fields of new batches, by batch id."""
    if fields:
        rows = [{"batch_id": batch_id, "sealed": _sealed(vault, of_batch)} for batch_id, of_batch in fields.items()]
        await db.execute(insert(field_values), rows)


async def of_batches(db: AsyncConnection, vault: Vault, batch_ids: Sequence[int]) -> dict[int, BatchFields]:
    """Return the data fields of those of these batches that have any, by batch id."""
    query = select(field_values.c.batch_id, field_values.c.sealed).where(field_values.c.batch_id.in_(batch_ids))
    return {batch_id: _opened(vault, sealed) for batch_id, sealed in await db.execute(query)}


async def replace(db: AsyncConnection, vault: Vault, batch_id: int, fields: BatchFields) -> None:
    """Replace the data fields of a batch."""
    await drop(db, [batch_id])
    await add(db, vault, {batch_id: fields} if fields else {})


async def drop(db: AsyncConnection, batch_ids: Sequence[int]) -> None:
    """Delete the data fields of batches."""
    await db.execute(delete(field_values).where(field_values.c.batch_id.in_(batch_ids)))


async def any_unneeded(db: AsyncConnection) -> bool:
    """Return whether there are data fields of runs that have ended for good."""
    return (await db.execute(_UNNEEDED.limit(1))).first() is not None


async def drop_unneeded(db: AsyncConnection) -> bool:
    """Delete data fields of runs that have ended for good. Returns whether there may be more."""
    unneeded = _UNNEEDED.limit(_DROPPED_AT_ONCE)
    result = await db.execute(delete(field_values).where(field_values.c.batch_id.in_(unneeded)))
    return int(result.rowcount) == _DROPPED_AT_ONCE


def _sealed(vault: Vault, fields: BatchFields) -> bytes:
    members = {member_key: [of_member.digest, of_member.fields] for member_key, of_member in fields.items()}
    return vault.encrypt(orjson.dumps(members).decode())


def _opened(vault: Vault, sealed: bytes) -> BatchFields:
    members = orjson.loads(vault.decrypt(sealed))
    return {member_key: FieldsOfMember(*values) for member_key, values in members.items()}
