"""Erasure of a person on mParticle's request (OpenDSR).

All data about the person is deleted: ledger rows, changes of all runs, rejections, inbox rows. What remains is
the audit entry, and digests that keep a later file from adding the person again. The list in Iterable is not changed:
mParticle, or the system that sent mParticle the request, also sends it to Iterable.

The identities are stored, encrypted, until the erasure is complete: a run in progress holds members in memory and
could write them again, so the erasure is repeated after that run has ended.
"""

import asyncio
import json
import logging
from collections import Counter
from dataclasses import dataclass, field

from core.engine import Engine
from core.store import audit_log, erasures, personal_data
from core.store.audit_log import MPARTICLE, AuditAction
from core.store.database_errors import DATABASE_FAULTS
from core.store.personal_data import DataSubject

logger = logging.getLogger(__name__)

# How long the answer to mParticle waits for the deletion, in seconds. After that, a worker completes it.
SOON_S = 5.0


@dataclass(slots=True)
class ErasureSubject:
    """The identities of the person to erase, and the time of mParticle's request (milliseconds)."""

    stamp: int
    request: str | None
    email: list[str] = field(default_factory=list)
    customer: list[str] = field(default_factory=list)
    mpid: list[str] = field(default_factory=list)

    def person(self, account_id: str) -> DataSubject:
        """Return the person's identities in one mParticle account ("": in all accounts)."""
        profiles = [*self.mpid, *(f"customer:{c}" for c in self.customer), *(f"email:{e}" for e in self.email)]
        return DataSubject(set(profiles), set(self.email), set(self.customer), account_id)


async def try_carry_out(engine: Engine, erasure_id: str) -> None:
    """Carry out a stored erasure. If that takes longer than SOON_S, a worker completes it."""
    try:
        await asyncio.wait_for(_carry_out(engine, erasure_id), SOON_S)
    except TimeoutError:
        logger.info("an erasure takes longer and continues in the background")
    except DATABASE_FAULTS:
        logger.warning("could not carry out an erasure yet", exc_info=True)


async def carry_out_all(engine: Engine) -> None:
    """Carry out the erasures that are not complete."""
    async with engine.database.read() as db:
        pending = await erasures.under_way(db)
    for erasure in pending:
        if engine.stopping.is_set():
            return
        await _carry_out(engine, erasure.id)


async def _carry_out(engine: Engine, erasure_id: str) -> None:
    async with engine.database.read() as db:
        erasure = await erasures.by_id(db, erasure_id)
    if erasure is None:
        return
    subject = ErasureSubject(**json.loads(engine.vault.decrypt(erasure.identities)))
    async with engine.database.read() as db:
        person = await personal_data.known_as(db, subject.person(erasure.account_id))
    counts = Counter(erasure.counts)
    # before the rows are read: from here on, intake drops changes of this person
    async with engine.database.write() as db:
        digests = digests_of_subject(await erasures.salt_of(db, engine.vault), person)
        await erasures.mark_erased(db, erasure.account_id, digests, subject.stamp)
    async with engine.database.read() as db:
        # before the rows are read: what a run writes that ends in between may not be among them
        may_reappear = await personal_data.may_be_in_hand(db, person)
        rows = await personal_data.rows_of(db, person)
    async with engine.database.write() as db:
        counts.update(await personal_data.erase(db, rows))
        await erasures.note(db, erasure_id, dict(counts))
    forgotten = await _forget_changes(engine, person)
    if forgotten is None:
        return  # another process, or the next start, repeats it
    counts["changes"] += forgotten
    async with engine.database.write() as db:
        await erasures.note(db, erasure_id, dict(counts))
    is_cleared = await engine.database.clear_log()
    if may_reappear or not is_cleared:
        return  # a worker repeats it
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


async def _forget_changes(engine: Engine, person: DataSubject) -> int | None:
    """Remove a person from the stored changes of all runs, batch by batch. Returns the number of entries removed.

    Returns None if the engine is stopping before that is done.
    """
    removed, after = 0, 0
    while not engine.stopping.is_set():
        async with engine.database.read() as db:
            batches, last = await personal_data.batches_with(db, person, after)
        for batch_id in batches:
            async with engine.database.write() as db:
                removed += await personal_data.forget_in_batch(db, batch_id, person, engine.vault)
        if last is None:
            return removed
        after = last
    return None


def digests_of_subject(salt: str, person: DataSubject) -> list[str]:
    """Return the digests of all identities of a person."""
    mpids = [profile for profile in person.profiles if not profile.startswith(("customer:", "email:"))]
    return [
        *(erasures.digest(salt, "mpid", mpid) for mpid in mpids),
        *(erasures.digest(salt, "email", email) for email in person.emails),
        *(erasures.digest(salt, "customer", customer_id) for customer_id in person.customer_ids),
    ]
