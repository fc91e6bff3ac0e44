"""Members that Iterable refuses for good, who are not sent again as they were: salted digests, and no identity."""

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import erasures
from core.store.erasures import SuppressionList
from core.store.rejections import Rejection
from core.store.tables import suppressions
from core.vault import Vault

#: What a digest of a member is of, beside the salt. (core/planning/suppression.py makes the same in DuckDB.)
KIND = "refused"

_ADD = "INSERT INTO barred (connection_id, digest) VALUES (:connection_id, :digest) ON CONFLICT DO NOTHING"
# Values in one statement.
_CHUNK = 1_000


async def add(db: AsyncConnection, vault: Vault, connection_id: int, found: Sequence[Rejection]) -> None:
    """Remember members that were refused for good, each with the identity under which it was."""
    if rows := [
        {"connection_id": connection_id, "digest": each}
        for each in sorted(_digests(await erasures.salt_of(db, vault), found))
    ]:
        await db.execute(text(_ADD), rows)


async def remove(db: AsyncConnection, vault: Vault, connection_id: int, found: Sequence[Rejection]) -> None:
    """They are to be tried again."""
    digests = sorted(_digests(await erasures.salt_of(db, vault), found))
    for begin in range(0, len(digests), _CHUNK):
        some = suppressions.c.digest.in_(digests[begin : begin + _CHUNK])
        await db.execute(delete(suppressions).where(suppressions.c.connection_id == connection_id, some))


async def of_connection(db: AsyncConnection, vault: Vault, connection_id: int) -> SuppressionList | None:
    """Return who was refused for good, or None where nobody was."""
    found = (
        (await db.execute(select(suppressions.c.digest).where(suppressions.c.connection_id == connection_id)))
        .scalars()
        .all()
    )
    return SuppressionList(await erasures.salt_of(db, vault), list(found)) if found else None


def _digests(salt: str, found: Iterable[Rejection]) -> set[str]:
    return {
        erasures.digest(salt, KIND, f"{each.member_key}\n{each.email}\n{each.customer_id or ''}")
        for each in found
        if each.member_key is not None and each.email is not None
    }
