"""Access to mParticle's platform API: pod, account, client id and client secret (encrypted), for each connection."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.mparticle.models import Pod
from core.store import clock
from core.store.tables import mparticle_accounts


@dataclass(frozen=True, slots=True)
class MParticleAccount:
    """The access of a connection as stored. `client_secret` is encrypted.

    `refused_at` is when mParticle refused the credentials, None if they worked last.
    """

    connection_id: int
    pod: Pod
    account_id: str
    client_id: str
    client_secret: bytes
    created_at: float
    refused_at: float | None = None


async def replace(
    db: AsyncConnection, connection_id: int, *, pod: Pod, account_id: str, client_id: str, client_secret: bytes
) -> None:
    """Store the access of a connection, in place of the one that is there."""
    await remove(db, connection_id)
    await db.execute(
        insert(mparticle_accounts).values(
            connection_id=connection_id,
            pod=pod.value,
            account_id=account_id,
            client_id=client_id,
            client_secret=client_secret,
            created_at=await clock.now(db),
        )
    )


async def of_connection(db: AsyncConnection, connection_id: int) -> MParticleAccount | None:
    """Return the access of a connection, or None if it has none."""
    query = select(mparticle_accounts).where(mparticle_accounts.c.connection_id == connection_id)
    row = (await db.execute(query)).mappings().first()
    return None if row is None else _from_row(row)


async def of_connections(db: AsyncConnection, connection_ids: Sequence[int]) -> dict[int, MParticleAccount]:
    """Return the access of these connections by their ids, as far as they have one."""
    query = select(mparticle_accounts).where(mparticle_accounts.c.connection_id.in_(connection_ids))
    return {row["connection_id"]: _from_row(row) for row in (await db.execute(query)).mappings()}


async def note(db: AsyncConnection, used: MParticleAccount, *, is_refused: bool) -> None:
    """Store whether mParticle refused these credentials, unless they were replaced meanwhile."""
    same = (
        mparticle_accounts.c.connection_id == used.connection_id,
        mparticle_accounts.c.client_secret == used.client_secret,
    )
    refused_at = await clock.now(db) if is_refused else None
    await db.execute(update(mparticle_accounts).where(*same).values(refused_at=refused_at))


async def remove(db: AsyncConnection, connection_id: int) -> bool:
    """Delete the access of a connection. Returns False if there was none."""
    of_it = mparticle_accounts.c.connection_id == connection_id
    return bool((await db.execute(delete(mparticle_accounts).where(of_it))).rowcount)


def _from_row(row: Any) -> MParticleAccount:
    return MParticleAccount(**{**row, "pod": Pod(row["pod"])})
