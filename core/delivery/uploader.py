"""The upload of a run's changes: batches, rate-limited and concurrent.

The order of writes guarantees that nothing is lost. Before a request leaves, its batch is marked as sent: from then on
its members count as unconfirmed. After the answer, the outcome, the ledger and the counters are written in one
transaction (core/delivery/recorder.py). If the process ends in between, the batch is sent again, or its members are
recorded as unconfirmed.
"""

import asyncio
import contextlib
import logging
import math
from collections import deque

from sqlalchemy.ext.asyncio import AsyncConnection

from core import telemetry
from core.delivery.ending_runs import EndingRuns
from core.delivery.freeze_check import is_frozen
from core.delivery.recorder import Recorder, StalePlanError
from core.delivery.run_sender import RunSender
from core.iterable import InvalidApiKeyError, IterableClient
from core.models.batch import BATCH_SIZE, Phase
from core.models.run import Run, RunFrozenError, RunStoppedError, StopReason
from core.store import batches, ledger, lists, run_queue
from core.store.batches import Batch, BatchStatus, OpenPhase
from core.store.database import Database, to_the_end
from core.store.database_errors import DATABASE_FAULTS
from core.store.runs import TakenOverError
from core.vault import Vault

# As many requests are sent at once as use the whole rate even if an answer takes this long (seconds) ...
LATENCY_COVERED_S = 4.0
# ... within these bounds; UNLIMITED is for a connection without a rate limit.
FEWEST, MOST, UNLIMITED = 1, 64, 32
# A dead process leaves at most so many batches that are marked as sent: those in flight, and those claimed with the
# last.
MOST_SENT = MOST + UNLIMITED
# How often the upload checks whether the run is to stop, in seconds.
LOOK_AGAIN_S = 0.3
# Batches that need no request, and how many are applied in one transaction.
_QUIET = (Phase.RETAIN, Phase.RELEASE)
QUIET_BATCHES = 10

logger = logging.getLogger(__name__)


class Uploader:
    """The upload of one run by this process. Create one, and `await run()` once."""

    def __init__(
        self,
        database: Database,
        client: IterableClient,
        run: Run,
        worker: str,
        revision: int,
        stopping: asyncio.Event,
        vault: Vault,
        *,
        ending: EndingRuns,
        merges: bool = False,
    ) -> None:
        """Take the parts of the upload. The caller holds the list lock, and the list's ledger has `revision`.

        `ending` are the runs of this process that have made room for others, to which this one will belong.
        `merges`: a placeholder's profile may be merged into the profile that has its new address already.
        """
        self._database = database
        self._client = client
        self._run = run
        self._worker = worker
        self._revision = revision
        self._stopping = stopping
        # opens the data fields of batches, if the run sends any
        self._vault = vault if run.plan is not None and run.plan.fields else None
        self._sender = RunSender(database, client, run, merges=merges)
        self._recorder = Recorder(database, run, worker, revision, client.traffic)
        self._claimed: deque[Batch] = deque()
        self._claiming = asyncio.Lock()
        self._planned = 0
        self._requests_left = 0
        self._ending = ending
        self._has_made_room = run.request.live  # a micro-batch does not take any
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Upload all remaining changes.

        Raises the error that stopped the upload after the outcomes of the requests in flight were recorded:
        StalePlanError, RunStoppedError, RunFrozenError, TakenOverError, or a SyncError.
        """
        watching = asyncio.create_task(self._watch(), name=f"watch {self._run.id}")
        try:
            async with self._database.read() as db:
                phases = await batches.phases_left(db, self._run.id)
            if {left.phase for left in phases} & {Phase.UPDATE, Phase.RENAME}:
                await self._sender.load_former_attempts()
            self._requests_left = sum((left.planned + left.sent) * _requests_of_batch(left.phase) for left in phases)
            for left in phases:
                await (self._apply_quietly(left.phase) if left.phase in _QUIET else self._send_all(left))
        finally:
            self._ending.remove(self._run.id)
            watching.cancel()
            await asyncio.wait([watching])
            await self._recorder.record_traffic()

    async def _watch(self) -> None:
        """Interrupt the waits for a slot or for another try as soon as the run is to stop."""
        end: Exception | None = None
        while end is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_AGAIN_S)
            end = await to_the_end(self._reason_to_stop())
        self._failure = self._failure or end
        self._client.halt()

    async def _reason_to_stop(self) -> Exception | None:
        stop, is_held = None, False
        try:
            async with self._database.read() as db:
                stop = (await lists.check_run_guard(db, self._run.id)).stop_requested
                is_held = not self._run.request.live and await is_frozen(db, self._run)
        except DATABASE_FAULTS:  # the claim of the next batch notices it, too
            logger.debug("could not look whether run %s is to stop", self._run.id)
        if stop is not None or self._stopping.is_set():
            return RunStoppedError(stop or StopReason.INTERRUPT)
        return RunFrozenError() if is_held else None

    async def _apply_quietly(self, phase: Phase) -> None:
        apply = _release if phase is Phase.RELEASE else _retain
        while True:
            async with self._database.write() as db:
                await self._check(db)
                planned = await batches.open_batches(
                    db, self._run.id, BatchStatus.PLANNED, limit=QUIET_BATCHES, phase=phase
                )
                for batch in planned:
                    await apply(db, self._run, batch)
                await batches.set_state(db, [batch.id for batch in planned], BatchStatus.DONE)
            if not planned:
                return

    async def _send_all(self, left: OpenPhase) -> None:
        if left.sent:  # by a former attempt, which recorded no answer
            async with self._database.read() as db:
                sent = await batches.open_batches(
                    db, self._run.id, BatchStatus.SENT, limit=MOST_SENT, phase=left.phase, vault=self._vault
                )
            self._claimed.extend(sent)
        self._planned = left.planned  # no batches are added while this run holds the list lock
        async with asyncio.TaskGroup() as senders:
            for _ in range(min(left.planned + left.sent, _concurrency(self._run.rate))):
                senders.create_task(self._send_some(left.phase), name=f"send {self._run.id}")
        if self._failure is not None:
            raise self._failure

    async def _send_some(self, phase: Phase) -> None:
        try:
            while self._failure is None and (batch := await self._claim(phase)) is not None:
                await self._deliver(batch)
        except Exception as error:  # noqa: BLE001  # `_send_all` raises it after the other senders have recorded
            # the outcomes of their batches
            self._failure = self._failure or error

    async def _deliver(self, batch: Batch) -> None:
        phase = batch.phase.name.lower()
        with telemetry.span("batch", run_id=self._run.id, batch_id=batch.id, phase=phase, members=batch.sent_size):
            await self._recorder.record(batch, await self._sender.send(batch))
        self._requests_left -= _requests_of_batch(batch.phase)

    async def _claim(self, phase: Phase) -> Batch | None:
        """Return the next batch, marked as sent on disk, or None if the phase has no more."""
        async with self._claiming:
            await self._make_room()
            if not self._claimed and self._planned > 0:
                size = _claim_size(self._run.rate)
                async with self._database.write() as db:
                    await self._check(db)
                    planned = await batches.open_batches(
                        db, self._run.id, BatchStatus.PLANNED, limit=size, phase=phase, vault=self._vault
                    )
                    await batches.set_state(db, [batch.id for batch in planned], BatchStatus.SENT)
                self._claimed.extend(planned)
                self._planned -= size
            return self._claimed.popleft() if self._claimed else None

    async def _make_room(self) -> None:
        """Let another run of the project start, if this one has few requests left."""
        if self._has_made_room or not self._ending.add(self._run, self._requests_left):
            return
        self._has_made_room = True
        if not self._database.is_sqlite:  # where a worker knows which of its runs are ending
            async with self._database.write() as db:
                await self._check(db)
                await run_queue.make_room(db, self._run.id)
        self._ending.announce()

    async def _check(self, db: AsyncConnection) -> None:
        state = await lists.check_run_guard(db, self._run.id)
        if (state.locked_by_worker_id, state.locked_by_run_id) != (self._worker, self._run.id):
            raise TakenOverError(f"Run {self._run.id} was taken over by another process.")
        if state.stop_requested is not None or self._stopping.is_set():
            raise RunStoppedError(state.stop_requested or StopReason.INTERRUPT)
        if state.is_key_rejected:
            raise InvalidApiKeyError
        if state.ledger_revision != self._revision:
            raise StalePlanError


async def _retain(db: AsyncConnection, run: Run, batch: Batch) -> None:
    await ledger.put_batches(db, run.mapping_id, [batch.columns], certain=True)


async def _release(db: AsyncConnection, run: Run, batch: Batch) -> None:
    await ledger.release(db, run.mapping_id, batch.entries, run.project_type)


def _requests_of_batch(phase: Phase) -> int:
    """Return how many requests a batch may need. Members are renamed one by one."""
    if phase in _QUIET:
        return 0
    return BATCH_SIZE if phase is Phase.RENAME else 1


def _concurrency(rate: float) -> int:
    return min(MOST, max(FEWEST, math.ceil(rate * LATENCY_COVERED_S))) if rate else UNLIMITED


def _claim_size(rate: float) -> int:
    # At a low rate each batch is claimed when it is about to leave; at a high rate one write claims several.
    return 1 if 0 < rate < 20 else UNLIMITED
