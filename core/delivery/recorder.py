"""Recording what became of the batches of a run: outcome, ledger and counters in one transaction."""

import asyncio
from collections import Counter
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core.delivery.outcome import BatchOutcome, EntryGroup
from core.identity import UserIdField
from core.iterable import RequestStats
from core.models.batch import COUNTED, FORMER_IDENTITY_PREFIX, BatchColumns, BatchEntry, Operation, Phase, decode
from core.models.run import Run
from core.store import batches, ledger, lists, rejections, runs
from core.store.batches import Batch, BatchStatus
from core.store.database import Database
from core.store.rejections import UNATTRIBUTED, Rejection

# What an accepted member counts as. (A rename is counted by the update that follows it.)
_COUNTERS = {Phase.REMOVE: "removed", Phase.RENAME: "updated", Phase.UPDATE: "updated", Phase.ADD: "added"}


class StalePlanError(Exception):
    """Other runs changed the list's ledger since this run was planned: what is left must be planned anew."""


@dataclass(frozen=True, slots=True)
class _PendingRecord:
    batch: Batch
    delivery: BatchOutcome | None
    recorded: asyncio.Future[None]


class Recorder:
    """Writes what became of batches. Those that end while another write is under way are written together."""

    def __init__(self, database: Database, this: Run, worker: str, revision: int, traffic: RequestStats) -> None:
        """Take the run, the worker whose it is, the revision of the ledger, and what its client counts."""
        self._database = database
        self._run = this
        self._worker = worker
        self._revision = revision
        self._traffic = traffic
        self._reported = RequestStats()
        self._waiting: list[_PendingRecord] = []
        self._writing = asyncio.Lock()

    async def record(self, batch: Batch, delivery: BatchOutcome | None) -> None:
        """Return when what became of a batch is on disk.

        Raises TakenOverError where the run is another's by now, and StaleError where leavers may have got another
        address before they were taken off under this one: then they are to be planned anew.
        """
        mine = _PendingRecord(batch, delivery, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        async with self._writing:
            if not mine.recorded.done():
                together, self._waiting = self._waiting, []
                await self._write(together)
        await mine.recorded

    async def record_traffic(self) -> None:
        """Write what the client has sent and nothing has been recorded of yet."""
        async with self._database.write() as db:
            await runs.count(db, self._run.id, self._worker, self._new_traffic())

    async def _write(self, together: list[_PendingRecord]) -> None:
        try:
            async with self._database.write() as db:
                stale = await self._is_stale(db, together)
                await (self._put_back if stale else self._record)(db, together)
            if stale:
                raise StalePlanError
        except BaseException as error:  # whoever waits for this write has to hear of it
            for each in together:
                each.recorded.set_exception(error)
                each.recorded.exception()  # heard of, also by those who stopped waiting
            raise
        for each in together:
            each.recorded.set_result(None)

    async def _is_stale(self, db: AsyncConnection, together: list[_PendingRecord]) -> bool:
        """Whether a run on another list has renamed placeholders while some of these were to be taken off."""
        if all(each.batch.phase is not Phase.REMOVE for each in together):
            return False
        return (await lists.check_run_guard(db, self._run.id)).ledger_revision != self._revision

    async def _put_back(self, db: AsyncConnection, together: list[_PendingRecord]) -> None:
        await runs.count(db, self._run.id, self._worker, self._new_traffic())
        await batches.set_state(db, [each.batch.id for each in together], BatchStatus.PLANNED)

    async def _record(self, db: AsyncConnection, together: list[_PendingRecord]) -> None:
        counts: Counter[str] = Counter(self._new_traffic())
        on_the_list: list[BatchColumns] = []
        for each in together:
            found, refused = self._count(each.batch, each.delivery)
            counts.update(found)
            await rejections.add(db, self._run.id, refused)
            if each.delivery is None and each.batch.phase is not Phase.REMOVE:
                on_the_list.append(each.batch.columns)
            else:
                await self._note(db, each.batch, each.delivery or BatchOutcome())
        if on_the_list:
            await ledger.put_batches(db, self._run.mapping_id, on_the_list, certain=True)
        await runs.count(db, self._run.id, self._worker, dict(counts))
        await batches.set_state(db, [each.batch.id for each in together], BatchStatus.DONE)

    async def _note(self, db: AsyncConnection, batch: Batch, delivery: BatchOutcome) -> None:
        """Make the ledger say what a batch has changed."""
        this = self._run
        members = batch.entries
        is_certain = delivery.is_confirmed and not delivery.unattributed
        if delivery.rejected or delivery.renamed:
            members = _entries(delivery.accepted)
        if batch.phase is Phase.RENAME:
            for units, certain in ((delivery.renamed, True), (delivery.vanished, False)):
                if units:
                    await ledger.rename(db, this.connection_id, _entries(units), certain=certain)
                    await lists.bump_others(db, this.connection_id, this.list_id)
            await ledger.delete_matching(db, this.mapping_id, members)
        elif batch.phase is Phase.REMOVE and is_certain:
            await ledger.delete_matching(db, this.mapping_id, members)
            if stay := [
                _former(unit[0])
                for unit, *_ in delivery.rejected
                if unit[0].op == Operation.UNSUBSCRIBE_FORMER and unit[0].email
            ]:
                # The update that follows replaces the row that knew this address: the next run has to know it.
                await ledger.upsert(db, this.mapping_id, stay, certain=True)
        elif batch.phase is Phase.REMOVE:  # with a failure that is not named, no member of the batch is certain
            await ledger.mark_uncertain(db, this.mapping_id, members)
            former = [_former(entry) for entry in members if entry.op == Operation.UNSUBSCRIBE_FORMER and entry.email]
            await ledger.upsert(db, this.mapping_id, former, certain=False)  # as above
        else:
            await ledger.upsert(db, this.mapping_id, members, certain=is_certain)

    def _count(self, batch: Batch, delivery: BatchOutcome | None) -> tuple[dict[str, int], list[Rejection]]:
        if delivery is None:
            return {_COUNTERS[batch.phase]: batch.counted_size}, []
        accepted = sum(unit[0].op in COUNTED for unit in delivery.accepted)
        refused = [self._rejection(*each) for each in delivery.rejected if each.unit[0].op in COUNTED]
        nameless = min(delivery.unattributed, accepted)
        refused += [Rejection(None, None, None, UNATTRIBUTED)] * nameless
        return {_COUNTERS[batch.phase]: accepted - nameless, "rejected": len(refused)}, refused

    def _rejection(self, unit: EntryGroup, reason: str, words: str | None) -> Rejection:
        _, profile, email, user_id, *_ = unit[0]
        customer_id = user_id if self._run.user_id_field is UserIdField.CUSTOMER_ID else None
        return Rejection(profile, email, customer_id, reason, words)

    def _new_traffic(self) -> dict[str, int]:
        now, before = self._traffic, self._reported
        more = {
            "requests": now.requests - before.requests,
            "retries": now.retries - before.retries,
            "throttled": now.throttled - before.throttled,
        }
        self._reported = RequestStats(now.requests, now.retries, now.throttled)
        return more


async def reconcile_in_doubt(db: AsyncConnection, connection_id: int, list_id: int, but_run: str) -> bool:
    """Put on record what other runs sent to a list and never saw answered: perhaps done, perhaps not.

    The caller holds the list, so that none of those runs is under way. Returns whether there was anything.
    """
    unanswered = await lists.has_unanswered_batches(db, connection_id, list_id, but_run)
    for batch_id, phase, mapping_id, members in unanswered:
        perhaps = decode(members).entries
        if phase == Phase.RENAME:  # under one address or the other, on all lists: both are noted, because a user id
            # alone may be somebody else's, too
            unsure = [entry._replace(extra=(entry.email,)) for entry in perhaps]
            await ledger.rename(db, connection_id, unsure, certain=False)
            await lists.bump(db, connection_id, list_id)
            await lists.bump_others(db, connection_id, list_id)
        if phase == Phase.REMOVE:
            await ledger.mark_uncertain(db, mapping_id, perhaps)
        else:
            await ledger.upsert(db, mapping_id, perhaps, certain=False)
        if phase == Phase.RENAME:
            await ledger.note_new_addresses(db, connection_id, perhaps)
        await batches.set_state(db, [batch_id], BatchStatus.PLANNED)
    return bool(unanswered)


def _former(entry: BatchEntry) -> BatchEntry:
    """Return a ledger row of its own for a former identity that could not be taken off the list."""
    is_former = entry.member_key.startswith(FORMER_IDENTITY_PREFIX)
    member_key = entry.member_key if is_former else f"{FORMER_IDENTITY_PREFIX}{entry.email}"
    return BatchEntry(Operation.RETAIN, member_key, entry.email, entry.user_id)


def _entries(units: list[EntryGroup]) -> list[BatchEntry]:
    return [entry for unit in units for entry in unit]
