"""Deliveries of a round: their requests are sent, and one write records the ends of those that were answered together.

Only a delivery whose members were all accepted ends here. Otherwise its outcome is recorded, and its rest is uploaded,
as that of any other run (core/delivery, core/runs/executor.py).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting, telemetry
from core.delivery.outcome import BatchOutcome
from core.delivery.recorder import Recorder, StalePlanError
from core.delivery.run_sender import RunSender
from core.engine import Engine
from core.firehose.group_commit import GroupCommit
from core.iterable import InvalidApiKeyError, IterableClient
from core.iterable.transport import AbortedError
from core.live import micro_batch
from core.live.rounds import Delivery
from core.models.batch import Phase
from core.models.run import Run, RunCounters, RunStatus, RunStoppedError, StopReason
from core.runs import executor
from core.runs.list_lock import ListHold, keep_list_lock
from core.runs.list_people import CHECK_EVERY_S
from core.runs.outcome import record_outcome
from core.store import field_values, inbox, ledger_rows, list_checks, live_mappings, live_runs, runs
from core.store.batches import Batch, digests_of
from core.store.database import postponing
from core.store.database_errors import DATABASE_FAULTS
from core.store.ledger import Entry
from core.store.live_runs import Ended, Grip

# How often is looked whether a run that waits for Iterable is to stop, in seconds.
LOOK_AGAIN_S = 0.3

_Sent = list[tuple[Batch, BatchOutcome | None]]


@dataclass(frozen=True, slots=True)
class _End:
    """A delivery whose members were all accepted. The run has its final counters."""

    delivery: Delivery
    run: Run


class Deliveries:
    """The deliveries of this process. Close it at the end."""

    def __init__(self, engine: Engine) -> None:
        """Take the engine. No I/O."""
        self._engine = engine
        self._ends = GroupCommit[_End](self._record_ends)
        self._clients: dict[str, IterableClient] = {}
        self._stops: dict[str, StopReason] = {}
        self._watching: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stop watching. Call it after the last delivery."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    async def deliver(self, delivery: Delivery) -> None:
        """Send the batches of a delivery, and end its run, whatever happens.

        Raises the database's errors, and StorageError if the end could not be recorded; then the run can be resumed.
        """
        engine, run = self._engine, delivery.run
        with telemetry.span("run", run_id=run.id, mapping_id=run.mapping_id, connection_id=run.connection_id) as ended:
            has_ended = False
            async with record_outcome(engine, run.id), keep_list_lock(engine, run) as hold:
                has_ended = await self._send_and_end(delivery, hold)
            if has_ended:
                ended["status"] = RunStatus.SUCCEEDED.value
                return
            async with engine.database.read() as db:
                stored = await runs.by_id(db, run.id)
            ended["status"] = "" if stored is None else stored.status.value
        await micro_batch.finalize(engine, run.id)

    async def _send_and_end(self, delivery: Delivery, hold: ListHold[Run]) -> bool:
        """Send the batches of a delivery. Returns whether its run has ended; otherwise it has a status."""
        engine, run = self._engine, delivery.run
        async with engine.client(delivery.connection, rate=run.rate) as client:
            assert run.ledger_revision is not None
            recorder = Recorder(engine.database, run, engine.presence.id, run.ledger_revision, client.traffic)
            sent: _Sent = []
            try:
                if delivery.is_just_created:
                    client.expect_new_list(run.list_id)
                await self._send(delivery, client, sent)
            except InvalidApiKeyError:
                await _record(recorder, sent)
                await executor.record_refused_key(engine, delivery.connection)
                raise
            except BaseException:
                await _record(recorder, sent)
                raise
            if _is_plain(delivery, sent):
                end = _End(delivery, _with_counts(run, sent, client))
                if await self._ends.put(end, run.counters.members + run.counters.left):
                    hold.is_released = True
                    return True
            with contextlib.suppress(StalePlanError):  # the rest is planned again
                await _record(recorder, sent)
        await executor.upload_rest(engine, run.id, hold)
        return False

    async def _send(self, delivery: Delivery, client: IterableClient, sent: _Sent) -> None:
        """Send the batches, one after the other, until one has members that were not accepted."""
        run = delivery.run
        sender = RunSender(self._engine.database, client, run, merges=False)
        async with self._watched(run.id, client):
            for batch in delivery.batches:
                phase = batch.phase.name.lower()
                with telemetry.span("batch", run_id=run.id, batch_id=batch.id, phase=phase, members=batch.sent_size):
                    outcome = await sender.send(batch)
                if outcome is not None and outcome.is_clean:  # who was removed had not been on the list, for example
                    outcome = None
                sent.append((batch, outcome))
                if outcome is not None:
                    break

    # -- stopping ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _watched(self, run_id: str, client: IterableClient) -> AsyncIterator[None]:
        """Interrupt the block's waits for a slot or for another try as soon as the run is to stop.

        Then raises RunStoppedError.
        """
        self._clients[run_id] = client
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(), name="watch live runs")
        try:
            yield
        except AbortedError:
            raise RunStoppedError(self._stops.get(run_id, StopReason.INTERRUPT)) from None
        finally:
            del self._clients[run_id]
            self._stops.pop(run_id, None)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._engine.stopping.wait(), LOOK_AGAIN_S)
            if not self._clients:
                return
            self._stops |= await self._stop_reasons()
            for run_id in self._stops.keys() & self._clients.keys():
                self._clients[run_id].halt()
            if self._engine.stopping.is_set():
                await asyncio.sleep(LOOK_AGAIN_S)

    async def _stop_reasons(self) -> dict[str, StopReason]:
        reasons = dict.fromkeys(self._clients, StopReason.INTERRUPT) if self._engine.stopping.is_set() else {}
        try:
            async with self._engine.database.read() as db:
                return reasons | await live_runs.stops(db, list(self._clients))
        except DATABASE_FAULTS:  # the end of the run notices it, too
            return reasons

    # -- ends --------------------------------------------------------------------------------------

    async def _record_ends(self, ends: list[_End]) -> list[bool]:
        """Write the ends of deliveries in one transaction. Returns for each whether its run still was this process's.

        And whether the ledger's revision is still the same, if members were removed.
        """
        async with self._engine.database.write() as db:
            grips, now = await live_runs.lock(db, [end.run.id for end in ends])
            own = [end for end in ends if self._is_own(end, grips.get(end.run.id))]
            if own:
                await self._write_ends(db, own, grips, now)
        recorded = {end.run.id for end in own}
        return [end.run.id in recorded for end in ends]

    def _is_own(self, end: _End, grip: Grip | None) -> bool:
        if grip is None or grip.worker_id != self._engine.presence.id or grip.status is not RunStatus.RUNNING:
            return False
        removes = any(batch.phase is Phase.REMOVE for batch in end.delivery.batches)
        return not removes or grip.revision == end.run.ledger_revision

    async def _write_ends(self, db: AsyncConnection, ends: Sequence[_End], grips: dict[str, Grip], now: float) -> None:
        with postponing(db):
            await _update_ledger(db, ends)
            await inbox.mark_all_delivered(db, [end.run.id for end in ends])
        if recovered := [end.run for end in ends if grips[end.run.id].has_failures]:
            await alerting.runs_succeeded(db, recovered)
        new_ids = {end.run.mapping_id: runs.new_id() for end in ends}
        daily_run_ids = await live_mappings.note_days(
            db, [_day_of(end, now, new_ids[end.run.mapping_id]) for end in ends]
        )
        merged = []
        for end in ends:
            run = end.run.model_copy(update={"finished_at": now, "started_at": grips[end.run.id].started_at})
            daily_run_id = daily_run_ids[run.mapping_id]
            if daily_run_id == new_ids[run.mapping_id]:
                await micro_batch.add_daily_run(db, daily_run_id, run, end.delivery.state.mapping)
            merged.append(Ended(run, daily_run_id))
        with postponing(db):
            await live_runs.merge(db, merged)
        unchecked = {(end.run.connection_id, end.run.list_id) for end in ends if not end.delivery.state.has_check}
        if unchecked:
            await list_checks.schedule_new(db, unchecked, now + CHECK_EVERY_S)


async def _record(recorder: Recorder, sent: _Sent) -> None:
    for batch, outcome in sent:
        await recorder.record(batch, outcome)
    await recorder.record_traffic()


def _is_plain(delivery: Delivery, sent: _Sent) -> bool:
    """Return whether all batches were sent, every member was accepted, and no one has to be suppressed."""
    is_complete = len(sent) == len(delivery.batches) and all(outcome is None for _, outcome in sent)
    return is_complete and not delivery.rejects_forgotten and not _counted(delivery.run, sent).missing


def _counted(run: Run, sent: _Sent) -> RunCounters:
    sizes = {batch.phase: batch.counted_size for batch, _ in sent}
    added, updated, removed = (sizes.get(phase, 0) for phase in (Phase.ADD, Phase.UPDATE, Phase.REMOVE))
    return run.counters.model_copy(update={"added": added, "updated": updated, "removed": removed})


def _with_counts(run: Run, sent: _Sent, client: IterableClient) -> Run:
    traffic = client.traffic
    numbers = {"requests": traffic.requests, "retries": traffic.retries, "throttled": traffic.throttled}
    return run.model_copy(update={"counters": _counted(run, sent), **numbers})


def _day_of(end: _End, now: float, new_id: str) -> tuple[int, str, str, float | None]:
    """Return the row of `live_mappings.note_days`. `new_id` is for the daily run, if there is none yet."""
    counters = end.run.counters
    has_changed = counters.added + counters.updated + counters.removed > 0
    day = live_mappings.day_of(now, end.delivery.state.time_zone)
    return end.run.mapping_id, day, new_id, now if has_changed else None


async def _update_ledger(db: AsyncConnection, ends: Sequence[_End]) -> None:
    """Record what the batches have changed, the removals of a mapping first, as `core.delivery.recorder` does."""
    removed: list[Entry] = []
    on_list: list[Entry] = []
    with_fields: list[tuple[int, Batch]] = []
    for end in ends:
        for batch in sorted(end.delivery.batches, key=lambda batch: batch.phase):
            if batch.data_fields:
                with_fields.append((end.run.mapping_id, batch))
                continue
            columns = batch.columns
            rows = zip(columns.member_keys, columns.emails, columns.user_ids, strict=True)
            entries = removed if batch.phase is Phase.REMOVE else on_list
            entries += [(end.run.mapping_id, *row, True) for row in rows]
    if removed:
        await ledger_rows.delete_matching(db, removed)
    if on_list:
        await ledger_rows.put(db, on_list)
    for mapping_id, batch in with_fields:
        await ledger_rows.put_with_digests(db, mapping_id, batch.columns, digests_of(batch))
    if with_fields:
        await field_values.drop(db, [batch.id for _, batch in with_fields])
