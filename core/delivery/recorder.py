"""The recorder of a run's batches: outcomes, ledger and counters are written in one transaction."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core.delivery.outcome import BatchOutcome, EntryGroup
from core.identity import ProjectType, UserIdField
from core.iterable import RequestStats
from core.models.batch import COUNTED, FORMER_IDENTITY_PREFIX, BatchColumns, BatchEntry, Operation, Phase, decode
from core.models.run import Run
from core.store import batches, field_values, ledger, lists, rejections, runs
from core.store.batches import Batch, BatchStatus
from core.store.database import Database
from core.store.rejections import UNATTRIBUTED, Rejection

# The counter of an accepted member, by phase. (A rename counts nothing: the update that follows it is counted.)
_COUNTERS = {Phase.REMOVE: "removed", Phase.RENAME: "updated", Phase.UPDATE: "updated", Phase.ADD: "added"}


class StalePlanError(Exception):
    """Other runs changed the list's ledger since this run was planned: the rest has to be planned again."""


@dataclass(frozen=True, slots=True)
class _PendingRecord:
    """A batch whose outcome is to be written. `outcome` is None if every member was accepted."""

    batch: Batch
    outcome: BatchOutcome | None
    recorded: asyncio.Future[None]


class Recorder:
    """Writes the outcomes of batches. Batches that end during a write are written together after it."""

    def __init__(self, database: Database, run: Run, worker: str, revision: int, traffic: RequestStats) -> None:
        """Take the run, its worker, the revision of the ledger, and the request counts of its client."""
        self._database = database
        self._run = run
        self._worker = worker
        self._revision = revision
        self._traffic = traffic
        self._reported = RequestStats()
        self._pending: list[_PendingRecord] = []
        self._writing = asyncio.Lock()

    async def record(self, batch: Batch, outcome: BatchOutcome | None) -> None:
        """Write the outcome of a batch (None: every member was accepted), and return when it is on disk.

        Raises TakenOverError if the run belongs to another process by now. Raises StalePlanError if leavers may have
        got another address before they were removed under this one: then they have to be planned again.
        """
        record = _PendingRecord(batch, outcome, asyncio.get_running_loop().create_future())
        self._pending.append(record)
        async with self._writing:
            if not record.recorded.done():
                records, self._pending = self._pending, []
                await self._write(records)
        await record.recorded

    async def record_traffic(self) -> None:
        """Write the request counts that were not written with an outcome."""
        increase = self._new_traffic()
        if any(increase.values()):
            async with self._database.write() as db:
                await runs.count(db, self._run.id, self._worker, increase)

    async def _write(self, records: list[_PendingRecord]) -> None:
        try:
            async with self._database.write() as db:
                is_stale = await self._is_stale(db, records)
                await (self._reset if is_stale else self._record)(db, records)
            if is_stale:
                raise StalePlanError
        except BaseException as error:  # each caller of `record` raises it
            for record in records:
                record.recorded.set_exception(error)
                record.recorded.exception()  # retrieved, so that asyncio logs nothing if a caller was cancelled
            raise
        for record in records:
            record.recorded.set_result(None)

    async def _is_stale(self, db: AsyncConnection, records: list[_PendingRecord]) -> bool:
        """Return whether a run on another list renamed placeholders while these batches removed some."""
        if all(record.batch.phase is not Phase.REMOVE for record in records):
            return False
        return (await lists.check_run_guard(db, self._run.id)).ledger_revision != self._revision

    async def _reset(self, db: AsyncConnection, records: list[_PendingRecord]) -> None:
        await runs.count(db, self._run.id, self._worker, self._new_traffic())
        await batches.set_state(db, [record.batch.id for record in records], BatchStatus.PLANNED)

    async def _record(self, db: AsyncConnection, records: list[_PendingRecord]) -> None:
        counts: Counter[str] = Counter(self._new_traffic())
        on_the_list: list[BatchColumns] = []
        for record in records:
            batch_counts, rejected = self._count(record.batch, record.outcome)
            counts.update(batch_counts)
            await rejections.add(db, self._run.id, rejected)
            if record.outcome is None and record.batch.phase is not Phase.REMOVE and not record.batch.data_fields:
                on_the_list.append(record.batch.columns)
            else:
                await self._update_ledger(db, record)
        if on_the_list:
            await ledger.put_batches(db, self._run.mapping_id, on_the_list, certain=True)
        await runs.count(db, self._run.id, self._worker, dict(counts))
        await batches.set_state(db, [record.batch.id for record in records], BatchStatus.DONE)
        if with_fields := [record.batch.id for record in records if record.batch.data_fields]:
            await field_values.drop(db, with_fields)

    async def _update_ledger(self, db: AsyncConnection, record: _PendingRecord) -> None:
        """Record in the ledger what a batch has changed."""
        run, batch = self._run, record.batch
        digests = batches.digests_of(batch)
        if record.outcome is None and batch.phase is not Phase.REMOVE:
            await ledger.put_batches(db, run.mapping_id, [batch.columns], certain=True, digests=digests)
            return
        outcome = record.outcome or BatchOutcome()
        members = batch.entries
        is_certain = outcome.is_confirmed and not outcome.unattributed
        if outcome.rejected or batch.phase is Phase.RENAME:
            members = _entries(outcome.accepted)
        if batch.phase is Phase.RENAME:
            for units, certain in ((outcome.renamed, True), (outcome.merged, False), (outcome.vanished, False)):
                if units:
                    await ledger.rename(db, run.connection_id, _entries(units), certain=certain)
                    await lists.bump_others(db, run.connection_id, run.list_id)
            await ledger.delete_matching(db, run.mapping_id, members)
        elif batch.phase is Phase.REMOVE and is_certain:
            await ledger.delete_matching(db, run.mapping_id, members)
            # The update that follows replaces the row with this identity, which the next run still needs.
            remaining = self._former(unit[0] for unit, *_ in outcome.rejected)
            await ledger.upsert(db, run.mapping_id, remaining, certain=True)
        elif batch.phase is Phase.REMOVE:  # an unattributed failure makes every member of the batch unconfirmed
            await ledger.mark_uncertain(db, run.mapping_id, members)
            await ledger.upsert(db, run.mapping_id, self._former(members), certain=False)  # as above
        else:
            await ledger.upsert(db, run.mapping_id, members, certain=is_certain, digests=digests)

    def _former(self, entries: Iterable[BatchEntry]) -> list[BatchEntry]:
        """Return separate ledger rows for the former identities among these entries, which are still on the list."""
        rows = []
        for entry in entries:
            key = former_key(entry, self._run.project_type)
            if entry.op == Operation.UNSUBSCRIBE_FORMER and key is not None:
                is_former = entry.member_key.startswith(FORMER_IDENTITY_PREFIX)
                member_key = entry.member_key if is_former else f"{FORMER_IDENTITY_PREFIX}{key}"
                rows.append(BatchEntry(Operation.RETAIN, member_key, entry.email, entry.user_id))
        return rows

    def _count(self, batch: Batch, outcome: BatchOutcome | None) -> tuple[dict[str, int], list[Rejection]]:
        if outcome is None:
            return {_COUNTERS[batch.phase]: batch.counted_size}, []
        accepted = sum(unit[0].op in COUNTED for unit in outcome.accepted)
        rejected = [self._rejection(*group) for group in outcome.rejected if group.unit[0].op in COUNTED]
        unattributed = min(outcome.unattributed, accepted)
        rejected += [Rejection(None, None, None, UNATTRIBUTED)] * unattributed
        counts = {_COUNTERS[batch.phase]: accepted - unattributed, "rejected": len(rejected)}
        return {**counts, "merged": len(outcome.merged)}, rejected

    def _rejection(self, unit: EntryGroup, reason: str, words: str | None) -> Rejection:
        _, profile, email, user_id, *_ = unit[0]
        customer_id = user_id if self._run.user_id_field is UserIdField.CUSTOMER_ID else None
        return Rejection(profile, email, customer_id, reason, words)

    def _new_traffic(self) -> dict[str, int]:
        total, reported = self._traffic, self._reported
        increase = {
            "requests": total.requests - reported.requests,
            "retries": total.retries - reported.retries,
            "throttled": total.throttled - reported.throttled,
        }
        self._reported = RequestStats(total.requests, total.retries, total.throttled)
        return increase


async def reconcile_in_doubt(db: AsyncConnection, connection_id: int, list_id: int, except_run: str) -> bool:
    """Record the members of unanswered batches as unconfirmed: batches that runs, except this one, sent to a list.

    The caller holds the list lock, so that none of those runs is active. Returns whether there were such batches.
    """
    unanswered = await lists.unanswered_batches(db, connection_id, list_id, except_run)
    for batch_id, phase, mapping_id, members in unanswered:
        unconfirmed = decode(members).entries
        if phase == Phase.RENAME:
            # The members have one address or the other, on all lists. Both are recorded, because a user id alone may
            # belong to another subscriber, too.
            unrenamed = [entry._replace(extra=(entry.email,)) for entry in unconfirmed]
            await ledger.rename(db, connection_id, unrenamed, certain=False)
            await lists.bump(db, connection_id, list_id)
            await lists.bump_others(db, connection_id, list_id)
        if phase == Phase.REMOVE:
            await ledger.mark_uncertain(db, mapping_id, unconfirmed)
        else:
            await ledger.upsert(db, mapping_id, unconfirmed, certain=False)
        if phase == Phase.RENAME:
            await ledger.note_new_addresses(db, connection_id, unconfirmed)
        await batches.set_state(db, [batch_id], BatchStatus.PLANNED)
    return bool(unanswered)


def former_key(entry: BatchEntry, project_type: ProjectType) -> str | None:
    """Return what the key of a former identity contains after its prefix (as in core/planning/sql/diff.sql)."""
    if project_type is ProjectType.USER_ID:
        return entry.user_id
    return entry.email or (entry.user_id if project_type is ProjectType.HYBRID else None)


def _entries(units: list[EntryGroup]) -> list[BatchEntry]:
    return [entry for unit in units for entry in unit]
