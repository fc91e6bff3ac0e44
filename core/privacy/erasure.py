"""Erasure: forgetting a person whom mParticle says is to be forgotten (OpenDSR).

Deleted is everything that is held about the person: the ledger, changes of all runs, rejections, the inbox. What
remains is that it was done, and digests by which a later file is kept from bringing the person back. The list in
Iterable is not touched: Iterable is told by mParticle, or by whoever told mParticle.

The identities are kept, encrypted, until it is done: a run that is under way holds members in memory and would put
them back, so it is done again when that run has ended.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.firehose.member import Member
from core.firehose.router import ACTOR
from core.firehose.schema import DsrProcessingRequest, Encoding
from core.identity import normalize_email
from core.store import audit_log, erasures, personal_data
from core.store.audit_log import AuditAction
from core.store.inbox import Change
from core.store.personal_data import DataSubject
from core.vault import Vault

logger = logging.getLogger(__name__)

# How long an answer waits for the deletion, in seconds. What is not done by then is done by a worker.
SOON_S = 5.0

# How the identities of a request are named: OpenDSR's own words, and mParticle's.
_KINDS = {
    "email": "email",
    "mpid": "mpid",
    "customer": "customer",
    "customerid": "customer",
    "controllercustomerid": "customer",
}


@dataclass(slots=True)
class _Subject:
    """Whom an erasure is about, and when mParticle said so."""

    stamp: int
    request: str | None
    email: list[str] = field(default_factory=list)
    customer: list[str] = field(default_factory=list)
    mpid: list[str] = field(default_factory=list)

    @property
    def person(self) -> DataSubject:
        profiles = [*self.mpid, *(f"customer:{c}" for c in self.customer), *(f"email:{e}" for e in self.email)]
        return DataSubject(set(profiles), set(self.email), set(self.customer))


async def accept(db: AsyncConnection, vault: Vault, request: DsrProcessingRequest, stamp: int) -> None:
    """Store that a person is to be forgotten. From then on no file brings the person back."""
    subject = _Subject(stamp, request.subject_request_id)
    for name, identity in request.subject_identities.items():
        kind = _KINDS.get(name.lower().replace("_", "").replace("-", ""))
        value = normalize_email(identity.value) if kind == "email" else identity.value.strip()
        if kind and value and identity.encoding == Encoding.RAW:
            getattr(subject, kind).append(value)
    await erasures.mark_erased(db, _digests(await erasures.salt_of(db, vault), subject.person), stamp)
    content = {name: getattr(subject, name) for name in ("stamp", "request", "email", "customer", "mpid")}
    await erasures.begin(db, str(request.id), vault.encrypt(json.dumps(content)))


async def try_carry_out(engine: Engine, erasure_id: str) -> None:
    """Carry an erasure out, unless that takes long: then a worker does. It is on disk that it is to be done."""
    try:
        await asyncio.wait_for(_carry_out(engine, erasure_id), SOON_S)
    except TimeoutError:
        logger.info("an erasure takes longer, and goes on in the background")
    except DBAPIError:
        logger.warning("an erasure could not be carried out yet", exc_info=True)


async def carry_out_all(engine: Engine) -> None:
    """Carry out the erasures that have not ended."""
    async with engine.database.read() as db:
        left = await erasures.under_way(db)
    for each in left:
        await _carry_out(engine, each.id)


async def without_erased(
    db: AsyncConnection, vault: Vault, changes: Sequence[Change], members: Sequence[Member]
) -> list[Change]:
    """Return live changes but for those that are older than their member's erasure. Who comes after it is back."""
    salt = await erasures.salt_of(db, vault)
    digests = [_digests_of_member(salt, member) for member in members]
    stamps = await erasures.stamps(db, {digest for each in digests for digest in each})
    left, back = [], []
    for change, each in zip(changes, digests, strict=True):
        found = [digest for digest in each if digest in stamps]
        if any(change.stamp <= stamps[digest] for digest in found):
            continue
        if change.member:
            back += found
        left.append(change)
    await erasures.clear_erased(db, back)
    return left


async def _carry_out(engine: Engine, erasure_id: str) -> None:
    async with engine.database.read() as db:
        erasure = await erasures.by_id(db, erasure_id)
    if erasure is None:
        return
    subject = _Subject(**json.loads(engine.vault.decrypt(erasure.identities)))
    async with engine.database.read() as db:
        person = await personal_data.known_as(db, subject.person)
    counts = Counter(erasure.counts)
    async with engine.database.write() as db:  # before looking for rows: what mParticle sends now is passed over
        await erasures.mark_erased(db, _digests(await erasures.salt_of(db, engine.vault), person), subject.stamp)
    async with engine.database.read() as db:
        in_hand = await personal_data.may_be_in_hand(
            db
        )  # asked first: one that ends from now on may not be seen in the rows
        rows = await personal_data.rows_of(db, person)
    async with engine.database.write() as db:
        counts.update(await personal_data.erase(db, rows))
        await erasures.note(db, erasure_id, dict(counts))
    counts["changes"] += await _forget_changes(engine, person)
    async with engine.database.write() as db:
        await erasures.note(db, erasure_id, dict(counts))
        if in_hand:
            return
        if await erasures.end(db, erasure_id):
            await audit_log.add(
                db,
                team_id=None,
                actor=ACTOR,
                action=AuditAction.ERASED,
                subject=f"erasure:{erasure_id}",
                after={"subject_request_id": subject.request, **{name: counts[name] for name in sorted(counts)}},
            )


async def _forget_changes(engine: Engine, person: DataSubject) -> int:
    """Take a person out of the stored changes of all runs, a piece at a time. Returns in how many places it was."""
    found, after = 0, 0
    while True:
        async with engine.database.read() as db:
            batches, last = await personal_data.batches_with(db, person, after)
        for batch_id in batches:
            async with engine.database.write() as db:
                found += await personal_data.forget_in_batch(db, batch_id, person)
        if last is None:
            return found
        after = last


def _digests(salt: str, person: DataSubject) -> list[str]:
    mpids = [profile for profile in person.profiles if not profile.startswith(("customer:", "email:"))]
    return [
        *(erasures.digest(salt, "mpid", each) for each in mpids),
        *(erasures.digest(salt, "email", each) for each in person.emails),
        *(erasures.digest(salt, "customer", each) for each in person.customer_ids),
    ]


def _digests_of_member(salt: str, member: Member) -> list[str]:
    email = normalize_email(member.email)
    named = (("mpid", None if member.mpid is None else str(member.mpid)), ("email", email))
    return [erasures.digest(salt, kind, value) for kind, value in (*named, ("customer", member.customer_id)) if value]
