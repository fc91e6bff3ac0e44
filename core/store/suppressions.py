"""Suppressions: members that Iterable rejects permanently, as salted digests without identities."""

from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import erasures
from core.store.erasures import SuppressionList
from core.store.rejections import Rejection
from core.store.tables import suppressions
from core.vault import Vault

#: The kind of these digests. (core/planning/suppression.py computes the same in DuckDB.)
KIND = "refused"

_OF_CONNECTION = select(suppressions.c.digest).where(suppressions.c.connection_id == bindparam("connection"))
_ADD = "INSERT INTO barred (connection_id, digest) VALUES (:connection_id, :digest) ON CONFLICT DO NOTHING"
# Values in one statement.
_CHUNK = 1_000


async def add(db: AsyncConnection, vault: Vault, connection_id: int, rejected: Sequence[Rejection]) -> None:
    """Suppress permanently rejected members, each with its present identity."""
    if rows := [
        {"connection_id": connection_id, "digest": digest}
        for digest in sorted(_digests(await erasures.salt_of(db, vault), rejected))
    ]:
        await db.execute(text(_ADD), rows)


async def remove(db: AsyncConnection, vault: Vault, connection_id: int, rejected: Sequence[Rejection]) -> None:
    """Lift the suppression of these members, so that the next run retries them."""
    digests = sorted(_digests(await erasures.salt_of(db, vault), rejected))
    for begin in range(0, len(digests), _CHUNK):
        chunk = suppressions.c.digest.in_(digests[begin : begin + _CHUNK])
        await db.execute(delete(suppressions).where(suppressions.c.connection_id == connection_id, chunk))


async def of_connection(db: AsyncConnection, vault: Vault, connection_id: int) -> SuppressionList | None:
    """Return the suppressions of a connection, or None if there are none."""
    digests = (await db.execute(_OF_CONNECTION, {"connection": connection_id})).scalars().all()
    return SuppressionList(await erasures.salt_of(db, vault), list(digests)) if digests else None


def _digests(salt: str, rejected: Iterable[Rejection]) -> set[str]:
    return {
        erasures.digest(salt, KIND, f"{rejection.member_key}\n{rejection.email or ''}\n{rejection.customer_id or ''}")
        for rejection in rejected
        if rejection.member_key is not None
    }
