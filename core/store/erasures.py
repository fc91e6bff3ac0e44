"""Erasures: those that are under way, and digests of the identities of people who asked to be forgotten."""

import hashlib
import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock
from core.store.tables import erased_identities, erasures, salts
from core.vault import Vault

_SALT = "erasure"
_MARK = """
INSERT INTO erased (account_id, digest, stamp) VALUES (:account_id, :digest, :stamp)
ON CONFLICT (account_id, digest) DO UPDATE SET stamp = excluded.stamp WHERE excluded.stamp > erased.stamp
"""
# Values in one IN: both databases take many more.
_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure that is under way. `identities` is encrypted; `counts` says what has been deleted so far.

    `account_id` is the account in mParticle that asked for it: what it holds is erased, and nothing else. "" stands for
    all accounts: of a request that came before accounts were recorded.
    """

    id: str
    identities: bytes
    account_id: str
    at: float
    counts: dict[str, int]


def digest(salt: str, kind: str, value: str) -> str:
    """What stands for an identity (`mpid`, `email` in lower case, `customer`) of somebody who was forgotten."""
    return hashlib.sha256(f"{salt}{kind}:{value}".encode(errors="surrogatepass")).hexdigest()


async def salt_of(db: AsyncConnection, vault: Vault) -> str:
    """Return this installation's salt, made at first use. The caller may write."""
    found = await _salt(db, vault)
    if found is not None:
        return found
    try:
        async with db.begin_nested():
            value = vault.encrypt(secrets.token_hex(32))
            await db.execute(insert(salts).values(name=_SALT, value=value))
    except IntegrityError:  # another process was faster
        pass
    found = await _salt(db, vault)
    assert found is not None
    return found


async def any_erased(db: AsyncConnection) -> bool:
    """Whether there is anybody who asked to be forgotten and has not come again."""
    return (await db.execute(select(erased_identities.c.digest).limit(1))).first() is not None


@dataclass(frozen=True, slots=True)
class SuppressionList:
    """Who asked to be forgotten and has not come again: digests, and the salt that they were made with."""

    salt: str
    digests: list[str]


async def forgotten(db: AsyncConnection, vault: Vault, account_id: str | None) -> SuppressionList | None:
    """Return who was forgotten at the request of an account, or None if that is no member."""
    digests = list((await db.execute(select(erased_identities.c.digest).distinct().where(_of(account_id)))).scalars())
    salt = await _salt(db, vault)
    return SuppressionList(salt, digests) if digests and salt else None


async def stamps(db: AsyncConnection, account_id: str, of: Collection[str]) -> dict[str, int]:
    """Return when an account asked to forget the people whom these digests stand for, as far as it did."""
    wanted, found = sorted(of), dict[str, int]()
    for begin in range(0, len(wanted), _CHUNK):
        some = erased_identities.c.digest.in_(wanted[begin : begin + _CHUNK])
        latest = func.max(erased_identities.c.erased_before_ms)
        query = select(erased_identities.c.digest, latest).where(_of(account_id), some)
        found.update((each, stamp) for each, stamp in await db.execute(query.group_by(erased_identities.c.digest)))
    return found


async def mark_erased(db: AsyncConnection, account_id: str, of: Collection[str], stamp: int) -> None:
    """Remember that an account asked at that time to forget the people whom these digests stand for."""
    if of:
        rows = [{"account_id": account_id, "digest": each, "stamp": stamp} for each in sorted(of)]
        await db.execute(text(_MARK), rows)


async def clear_erased(db: AsyncConnection, account_id: str, of: Sequence[str]) -> None:
    """The account sent them again."""
    for begin in range(0, len(of), _CHUNK):
        some = erased_identities.c.digest.in_(of[begin : begin + _CHUNK])
        await db.execute(delete(erased_identities).where(_of(account_id), some))


def _of(account_id: str | None) -> ColumnElement[bool]:
    return erased_identities.c.account_id.in_(["", account_id] if account_id else [""])


async def begin(db: AsyncConnection, erasure_id: str, account_id: str, identities: bytes) -> None:
    """Store an erasure that is to be carried out."""
    await db.execute(
        insert(erasures).values(id=erasure_id, account_id=account_id, identities=identities, at=await clock.now(db))
    )


async def under_way(db: AsyncConnection) -> list[Erasure]:
    """Return the erasures that have not ended, oldest first."""
    return [_one(row) for row in await db.execute(select(erasures).order_by(erasures.c.at))]


async def by_id(db: AsyncConnection, erasure_id: str) -> Erasure | None:
    """Find an erasure that has not ended."""
    row = (await db.execute(select(erasures).where(erasures.c.id == erasure_id))).one_or_none()
    return None if row is None else _one(row)


def _one(row: Any) -> Erasure:
    return Erasure(row.id, row.identities, row.account_id or "", row.at, json.loads(row.counts))


async def note(db: AsyncConnection, erasure_id: str, counts: dict[str, int]) -> None:
    """Record what has been deleted so far."""
    await db.execute(update(erasures).where(erasures.c.id == erasure_id).values(counts=json.dumps(counts)))


async def end(db: AsyncConnection, erasure_id: str) -> bool:
    """Forget an erasure that is done. Returns False where that has happened already."""
    return bool((await db.execute(delete(erasures).where(erasures.c.id == erasure_id))).rowcount)


async def _salt(db: AsyncConnection, vault: Vault) -> str | None:
    value = (await db.execute(select(salts.c.value).where(salts.c.name == _SALT))).scalar_one_or_none()
    return None if value is None else vault.decrypt(value)
