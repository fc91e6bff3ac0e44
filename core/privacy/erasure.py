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
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError

from core.engine import Engine
from core.store import audit_log, erasures, personal_data
from core.store.audit_log import MPARTICLE, AuditAction
from core.store.personal_data import DataSubject

logger = logging.getLogger(__name__)

# How long an answer waits for the deletion, in seconds. What is not done by then is done by a worker.
SOON_S = 5.0


@dataclass(slots=True)
class ErasureSubject:
    """Whom an erasure is about, and when mParticle said so."""

    stamp: int
    request: str | None
    email: list[str] = field(default_factory=list)
    customer: list[str] = field(default_factory=list)
    mpid: list[str] = field(default_factory=list)

    def person(self, account_id: str) -> DataSubject:
        """The person, as an account in mParticle knows them ("": as all accounts do)."""
        profiles = [*self.mpid, *(f"customer:{c}" for c in self.customer), *(f"email:{e}" for e in self.email)]
        return DataSubject(set(profiles), set(self.email), set(self.customer), account_id)


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


async def _carry_out(engine: Engine, erasure_id: str) -> None:
    async with engine.database.read() as db:
        erasure = await erasures.by_id(db, erasure_id)
    if erasure is None:
        return
    subject = ErasureSubject(**json.loads(engine.vault.decrypt(erasure.identities)))
    async with engine.database.read() as db:
        person = await personal_data.known_as(db, subject.person(erasure.account_id))
    counts = Counter(erasure.counts)
    async with engine.database.write() as db:  # before looking for rows: what mParticle sends now is passed over
        digests = digests_of_subject(await erasures.salt_of(db, engine.vault), person)
        await erasures.mark_erased(db, erasure.account_id, digests, subject.stamp)
    async with engine.database.read() as db:
        # asked first: one that ends from now on may not be seen in the rows
        in_hand = await personal_data.may_be_in_hand(db, person)
        rows = await personal_data.rows_of(db, person)
    async with engine.database.write() as db:
        counts.update(await personal_data.erase(db, rows))
        await erasures.note(db, erasure_id, dict(counts))
    counts["changes"] += await _forget_changes(engine, person)
    async with engine.database.write() as db:
        await erasures.note(db, erasure_id, dict(counts))
    is_cleared = await engine.database.clear_log()
    if in_hand or not is_cleared:
        return  # a worker does it again
    async with engine.database.write() as db:
        if await erasures.end(db, erasure_id):
            await audit_log.add(
                db,
                team_id=None,
                actor=MPARTICLE,
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


def digests_of_subject(salt: str, person: DataSubject) -> list[str]:
    mpids = [profile for profile in person.profiles if not profile.startswith(("customer:", "email:"))]
    return [
        *(erasures.digest(salt, "mpid", each) for each in mpids),
        *(erasures.digest(salt, "email", each) for each in person.emails),
        *(erasures.digest(salt, "customer", each) for each in person.customer_ids),
    ]
