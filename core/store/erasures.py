"""Erasures in progress, and digests of the identities of people who were erased."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock, salts
from core.store.tables import erased_identities, erasures
from core.vault import Vault

_MARK = """
INSERT INTO erased (account_id, digest, stamp) VALUES (:account_id, :digest, :stamp)
ON CONFLICT (account_id, digest) DO UPDATE SET stamp = excluded.stamp WHERE excluded.stamp > erased.stamp
"""
# Values in one IN; both databases accept many more.
_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure in progress. `identities` is encrypted; `counts` says what has been deleted so far.

    `account_id` is the mParticle account that sent the request: only its data is erased. "" means all accounts, for a
    request from before accounts were recorded.
    """

    id: str
    identities: bytes
    account_id: str
    at: float
    counts: dict[str, int]


def digest(salt: str, kind: str, value: str) -> str:
    """Return the digest of an identity (`mpid`, `email` in lower case, `customer`) of an erased person."""
    return hashlib.sha256(f"{salt}{kind}:{value}".encode(errors="surrogatepass")).hexdigest()


async def salt_of(db: AsyncConnection, vault: Vault) -> str:
    """Return this installation's salt, created at first use (in a transaction that may write)."""
    return await salts.get_or_create(db, vault, salts.ERASURE)


async def any_erased(db: AsyncConnection) -> bool:
    """Whether any erased person has not been sent again since."""
    return (await db.execute(select(erased_identities.c.digest).limit(1))).first() is not None


@dataclass(frozen=True, slots=True)
class SuppressionList:
    """Digests of people who must not be synced, and the salt of the digests."""

    salt: str
    digests: list[str]


async def forgotten(db: AsyncConnection, vault: Vault, account_id: str | None) -> SuppressionList | None:
    """Return the people erased at the request of an account, or None if there are none."""
    digests = list((await db.execute(select(erased_identities.c.digest).distinct().where(_of(account_id)))).scalars())
    salt = await salts.find(db, vault, salts.ERASURE) if digests else None
    return None if salt is None else SuppressionList(salt, digests)


async def stamps(db: AsyncConnection, account_id: str, of: Collection[str]) -> dict[str, int]:
    """Return when an account requested the erasure of the people with these digests, by digest."""
    wanted, result = sorted(of), dict[str, int]()
    for begin in range(0, len(wanted), _CHUNK):
        chunk = erased_identities.c.digest.in_(wanted[begin : begin + _CHUNK])
        latest = func.max(erased_identities.c.erased_before_ms)
        query = select(erased_identities.c.digest, latest).where(_of(account_id), chunk)
        query = query.group_by(erased_identities.c.digest)
        result.update((found_digest, stamp) for found_digest, stamp in await db.execute(query))
    return result


async def mark_erased(db: AsyncConnection, account_id: str, of: Collection[str], stamp: int) -> None:
    """Mark identities as erased at the request of an account; `stamp` is the time of the request (ms)."""
    if of:
        rows = [{"account_id": account_id, "digest": each, "stamp": stamp} for each in sorted(of)]
        await db.execute(text(_MARK), rows)


async def clear_erased(db: AsyncConnection, account_id: str, of: Sequence[str]) -> None:
    """Remove the erasure mark: the account sent these people again."""
    for begin in range(0, len(of), _CHUNK):
        some = erased_identities.c.digest.in_(of[begin : begin + _CHUNK])
        await db.execute(delete(erased_identities).where(_of(account_id), some))


def _of(account_id: str | None) -> ColumnElement[bool]:
    return erased_identities.c.account_id.in_(["", account_id] if account_id else [""])


async def begin(db: AsyncConnection, erasure_id: str, account_id: str, identities: bytes) -> None:
    """Store an erasure to be carried out."""
    await db.execute(
        insert(erasures).values(id=erasure_id, account_id=account_id, identities=identities, at=await clock.now(db))
    )


async def under_way(db: AsyncConnection) -> list[Erasure]:
    """Return the erasures in progress, oldest first."""
    return [_one(row) for row in await db.execute(select(erasures).order_by(erasures.c.at))]


async def by_id(db: AsyncConnection, erasure_id: str) -> Erasure | None:
    """Find an erasure in progress."""
    row = (await db.execute(select(erasures).where(erasures.c.id == erasure_id))).one_or_none()
    return None if row is None else _one(row)


def _one(row: Any) -> Erasure:
    return Erasure(row.id, row.identities, row.account_id or "", row.at, json.loads(row.counts))


async def note(db: AsyncConnection, erasure_id: str, counts: dict[str, int]) -> None:
    """Record what has been deleted so far."""
    await db.execute(update(erasures).where(erasures.c.id == erasure_id).values(counts=json.dumps(counts)))


async def end(db: AsyncConnection, erasure_id: str) -> bool:
    """Delete a completed erasure. Returns False if it was deleted already."""
    return bool((await db.execute(delete(erasures).where(erasures.c.id == erasure_id))).rowcount)
