"""Uploading the changes of a run: batches, paced and concurrent, and the outcome of every change on record.

The order of writing is what keeps the promise that nothing is lost. Before a request leaves, its batch is marked as
sent: from then on its members count as perhaps on the list. After the answer, the outcome, the ledger and the counters
are written in one transaction. Whatever ends the process in between, the batch is sent again, or settled (`settle`).
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from core.changes import Entry, Phase, Role, decode, encode, groups
from core.identity import UserIdField
from core.iterable import (
    BulkResult,
    Failure,
    IterableClient,
    KeyRefusedError,
    RefusedError,
    TooLargeError,
    Traffic,
)
from core.runs import Run
from core.store import changes, connections, ledger, lists, rejections, runs
from core.store.changes import Batch, State
from core.store.database import Database
from core.store.rejections import Rejection
from core.store.runs import TakenOverError

#: Why Iterable rejected a member without saying whose failure it counted.
UNATTRIBUTED = "iterable_unattributed"

# Requests under way at once: enough to fill the rate where an answer takes this long (seconds) ...
LATENCY_COVERED_S = 4.0
# ... within these bounds; the last is for a connection without a rate limit.
FEWEST, MOST, UNLIMITED = 4, 64, 8
# Batches that need no request, applied in one transaction.
QUIET_BATCHES = 10

# What counts where for the entries that count.
_COUNTERS = {Role.ADD: "added", Role.UPDATE: "updated", Role.REMOVE: "removed"}
# For a removal these are as good as done: whoever is not there, or was erased, is not on the list.
_GONE_ANYWAY = frozenset({Failure.NOT_FOUND, Failure.FORGOTTEN})

#: A sent entry with its followers.
Unit = list[Entry]
_Call = Callable[[int, list[tuple[str | None, str | None]]], Awaitable[BulkResult]]


class StaleError(Exception):
    """Other runs changed the list's ledger since this run was planned: what is left must be planned anew."""


class StoppedError(Exception):
    """Somebody wants the run to stop. `how` is "cancel" or "interrupt"."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


@dataclass(slots=True)
class Delivery:
    """What became of the members of a batch, each with its followers."""

    accepted: list[Unit] = field(default_factory=list)
    rejected: list[tuple[Unit, str]] = field(default_factory=list)
    unattributed: int = 0
    renamed: list[Unit] = field(default_factory=list)

    def __add__(self, other: "Delivery") -> "Delivery":
        return Delivery(
            self.accepted + other.accepted,
            self.rejected + other.rejected,
            self.unattributed + other.unattributed,
            self.renamed + other.renamed,
        )


class Upload:
    """The upload of one run by this process. Make one, `await run()` it once."""

    def __init__(
        self,
        database: Database,
        client: IterableClient,
        traffic: Traffic,
        this: Run,
        worker: str,
        revision: int,
        stopping: asyncio.Event,
    ) -> None:
        """Take what the upload works with. The caller holds the list, whose ledger is at `revision`."""
        self._database = database
        self._client = client
        self._traffic = traffic
        self._run = this
        self._worker = worker
        self._revision = revision
        self._stopping = stopping
        self._reported = Traffic()
        self._claimed: deque[Batch] = deque()
        self._claiming = asyncio.Lock()
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Make all changes that are left.

        Raises the first error that stopped it, after what was under way has been recorded: StaleError,
        StoppedError, or a SyncError.
        """
        try:
            async with self._database.read() as db:
                phases = await changes.phases_left(db, self._run.id)
            for phase in phases:
                await (self._apply_quietly(phase) if phase in (Phase.HOLD, Phase.RELEASE) else self._send_all(phase))
        finally:
            async with self._database.write() as db:
                await runs.count(db, self._run.id, self._worker, self._new_traffic())

    async def _apply_quietly(self, phase: Phase) -> None:
        apply = ledger.release if phase is Phase.RELEASE else _hold
        while True:
            async with self._database.write() as db:
                await self._check(db)
                found = await changes.open_batches(db, self._run.id, State.PLANNED, limit=QUIET_BATCHES, phase=phase)
                for batch in found:
                    await apply(db, self._run.mapping_id, batch.members)
                await changes.set_state(db, [batch.id for batch in found], State.DONE)
            if not found:
                return

    async def _send_all(self, phase: Phase) -> None:
        async with self._database.read() as db:  # a former attempt's: its answers were never recorded
            self._claimed.extend(await changes.open_batches(db, self._run.id, State.SENT, limit=MOST, phase=phase))
        async with asyncio.TaskGroup() as senders:
            for _ in range(_concurrency(self._run.rate)):
                senders.create_task(self._send_some(phase), name=f"send {self._run.id}")
        if self._failure is not None:
            raise self._failure

    async def _send_some(self, phase: Phase) -> None:
        try:
            while self._failure is None and (batch := await self._claim(phase)) is not None:
                await self._send(batch)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is raised again by `_send_all`, when the
            # others have ended their batches and recorded what became of them
            self._failure = self._failure or error
            if isinstance(error, KeyRefusedError):
                async with self._database.write() as db:
                    await connections.change(db, self._run.connection_id, refused_at=time.time())

    async def _claim(self, phase: Phase) -> Batch | None:
        """Take the next batch, its intent on disk. None when the phase has no more."""
        async with self._claiming:
            if not self._claimed:
                async with self._database.write() as db:
                    await self._check(db)
                    found = await changes.open_batches(
                        db, self._run.id, State.PLANNED, limit=_claim_size(self._run.rate), phase=phase
                    )
                    await changes.set_state(db, [batch.id for batch in found], State.SENT)
                self._claimed.extend(found)
            return self._claimed.popleft() if self._claimed else None

    async def _check(self, db: AsyncConnection) -> None:
        grip = await lists.grip(db, self._run.id)
        if (grip.worker, grip.run_id) != (self._worker, self._run.id):
            raise TakenOverError(f"Run {self._run.id} was taken over by another process.")
        if grip.stop is not None or self._stopping.is_set():
            raise StoppedError(grip.stop or "interrupt")
        if grip.refused:
            raise KeyRefusedError
        if grip.revision != self._revision:
            raise StaleError

    async def _send(self, batch: Batch) -> None:
        units = list(groups(decode(batch.members)))
        if batch.phase is Phase.RENAME:
            delivery = await self._rename(units)
        else:
            call = self._client.unsubscribe if batch.phase is Phase.REMOVE else self._client.subscribe
            delivery = await self._deliver(call, units, removal=batch.phase is Phase.REMOVE)
        async with self._database.write() as db:
            await self._record(db, batch, delivery)

    async def _deliver(self, call: _Call, units: list[Unit], *, removal: bool) -> Delivery:
        """Send these members; where the request is refused as a whole, in halves, down to the member."""
        try:
            result = await call(self._run.list_id, [(unit[0][2], unit[0][3]) for unit in units])
        except (RefusedError, TooLargeError) as error:
            if len(units) == 1:
                reason = error.failure if isinstance(error, RefusedError) else Failure.INVALID_DATA
                return Delivery(rejected=[(units[0], reason)])
            half = len(units) // 2
            first = await self._deliver(call, units[:half], removal=removal)
            return first + await self._deliver(call, units[half:], removal=removal)
        return Delivery(accepted=units) if result.is_clean else _attribute(units, result, removal=removal)

    async def _rename(self, units: list[Unit]) -> Delivery:
        """Rename placeholders. Where Iterable can't, the placeholder is taken off; the update puts the real one on."""
        delivery = Delivery()
        for unit in units:
            _, _, old, _, new = unit[0]
            try:
                await self._client.rename(old, new)
            except RefusedError:
                # The new address has a user already, or the placeholder none, or (in a userID-based project)
                # this is not how emails are changed.
                delivery += await self._deliver(self._client.unsubscribe, [unit], removal=True)
            else:
                delivery.renamed.append(unit)
        return delivery

    async def _record(self, db: AsyncConnection, batch: Batch, delivery: Delivery) -> None:
        """Write what became of a batch: counters, rejections, ledger and state, all or nothing."""
        this = self._run
        counts, refused = self._count(delivery)
        await runs.count(db, this.id, self._worker, {**counts, **self._new_traffic()})
        await rejections.add(db, this.id, refused)
        members = batch.members
        if delivery.rejected or delivery.renamed:
            members = encode([entry for unit in delivery.accepted for entry in unit])
        if batch.phase is Phase.RENAME:
            if delivery.renamed:
                renamed = encode([entry for unit in delivery.renamed for entry in unit])
                await ledger.rename(db, this.connection_id, renamed)
                await lists.bump_others(db, this.connection_id, this.list_id)
            await ledger.take(db, this.mapping_id, members)
        elif batch.phase is Phase.REMOVE and not delivery.unattributed:
            await ledger.take(db, this.mapping_id, members)
        else:  # with a failure that is not named, nobody in the batch is certain
            await ledger.put(db, this.mapping_id, members, certain=not delivery.unattributed)
        await changes.set_state(db, [batch.id], State.DONE)

    def _count(self, delivery: Delivery) -> tuple[dict[str, int], list[Rejection]]:
        counts: dict[str, int] = {}
        for unit in delivery.accepted:
            if counter := _COUNTERS.get(unit[0][0]):
                counts[counter] = counts.get(counter, 0) + 1
        refused = [self._rejection(unit[0], why) for unit, why in delivery.rejected if unit[0][0] in _COUNTERS]
        for counter, number in counts.items():  # a batch has one counter: it is of one phase
            nameless = min(delivery.unattributed, number)
            counts[counter] -= nameless
            refused += [Rejection(None, None, None, UNATTRIBUTED)] * nameless
        counts["rejected"] = len(refused)
        return counts, refused

    def _rejection(self, entry: Entry, reason: str) -> Rejection:
        _, profile, email, user_id, *_ = entry
        return Rejection(profile, email, user_id if self._run.user_id is UserIdField.CUSTOMER_ID else None, reason)

    def _new_traffic(self) -> dict[str, int]:
        """What the client has sent since this was last asked."""
        now, before = self._traffic, self._reported
        more = {
            "requests": now.requests - before.requests,
            "retries": now.retries - before.retries,
            "throttled": now.throttled - before.throttled,
        }
        self._reported = Traffic(now.requests, now.retries, now.throttled)
        return more


async def settle(db: AsyncConnection, connection_id: int, list_id: int, but_run: str) -> bool:
    """Put on record what other runs sent to a list and never saw answered: perhaps done, perhaps not.

    The caller holds the list, so that none of those runs is under way. Returns whether there was anything.
    """
    unanswered = await lists.unanswered(db, connection_id, list_id, but_run)
    for batch_id, phase, mapping_id, members in unanswered:
        if phase == Phase.RENAME:  # under one address or the other: only the user id is sure
            entries = decode(members)
            members = encode([[role, profile, None, user_id] for role, profile, _, user_id, *_ in entries])  # noqa: PLW2901
        await ledger.put(db, mapping_id, members, certain=False)
        await changes.set_state(db, [batch_id], State.PLANNED)
    return bool(unanswered)


async def _hold(db: AsyncConnection, mapping_id: int, members: str) -> None:
    await ledger.put(db, mapping_id, members, certain=True)


def _attribute(units: list[Unit], result: BulkResult, *, removal: bool) -> Delivery:
    delivery = Delivery()
    named = 0
    for unit in units:
        _, _, email, user_id, *_ = unit[0]
        why = result.failed_emails.get(email) or result.failed_user_ids.get(user_id)
        named += why is not None
        if why is None or (removal and why in _GONE_ANYWAY):
            delivery.accepted.append(unit)
        else:
            delivery.rejected.append((unit, why))
    delivery.unattributed = min(max(0, result.fail_count - named), len(delivery.accepted))
    return delivery


def _concurrency(rate: float) -> int:
    return min(MOST, max(FEWEST, math.ceil(rate * LATENCY_COVERED_S))) if rate else UNLIMITED


def _claim_size(rate: float) -> int:
    # At a slow pace a batch is claimed when it is about to leave; at full speed a write for several saves time.
    return 1 if 0 < rate < 20 else UNLIMITED
