"""The steps of a run: planning, and making its changes; earlier runs of the same mapping come first.

What is done here can be repeated at any point: where a run is, is in the database. `core.runs.workflows` makes sure
that it is repeated when the process dies.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import TypeVar

import duckdb
from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting, retention, settings
from core.connections.lists import ensure_list_known, was_just_created
from core.connections.new_lists import create_list_of_mapping
from core.delivery.recorder import StalePlanError, reconcile_in_doubt
from core.delivery.uploader import Uploader
from core.engine import Engine
from core.errors import EarlierRunAwaitingApprovalError, EarlierRunFailedError, NotAccountedForError
from core.iterable import InvalidApiKeyError
from core.models.run import CancelReason, Run, RunPhase, RunStatus, RunStoppedError, StopReason, SyncMode
from core.planning import MEMORY_MB, plan_run, plan_undo, publish_plan, replan_run
from core.planning.approval_rules import PlanResult
from core.planning.guards import is_other_audience
from core.privacy.suppression import lift_suppression, suppress_rejected
from core.runs import cancellation
from core.runs.addresses import addresses_of, places_of
from core.runs.cancellation import raise_if_stopped, stoppable, wait_for_run
from core.runs.list_lock import hold_list_lock
from core.runs.lookup import require_run
from core.runs.outcome import outlasting_outages, record_outcome
from core.runs.ownership import owned_write
from core.runs.rejected_members import rejected_in
from core.runs.submission import check_may_run
from core.sources.fetch import all_fetched
from core.store import approvals, clock, connections, doubts, erasures, lists, mappings, runs, suppressions
from core.store.connections import Connection
from core.store.mappings import is_new_list

logger = logging.getLogger(__name__)

T = TypeVar("T")


class UploadEnd(Enum):
    """How an upload came to its end."""

    DONE = "done"
    STALE = "stale"
    """Another run changed the list: what is left has to be planned again."""
    ASKS = "asks"
    """What is left goes beyond what was approved, and waits for approval."""


_NOT_YET_PLANNED = (RunStatus.QUEUED, RunStatus.PLANNING)


@outlasting_outages
async def plan(engine: Engine, run_id: str) -> RunStatus:
    """Plan a run, unless that has been done. Returns where it is then: RUNNING means that it may go on."""
    this = await require_run(engine, run_id)
    if this.status not in _NOT_YET_PLANNED:
        return this.status
    async with record_outcome(engine, run_id):
        await stoppable(engine, run_id, ensure_list_known(engine, this))
        while not await _plan(engine, this):
            for earlier in await _earlier(engine, this):
                await _finish_earlier_runs(engine, this, earlier)
            await raise_if_stopped(engine, run_id)
            await asyncio.sleep(cancellation.LOOK_AGAIN_S / 10)
    return (await require_run(engine, run_id)).status


@outlasting_outages
async def apply(engine: Engine, run_id: str) -> RunStatus:
    """Make the changes of a planned run. Returns where it is then: RUNNING if another process has taken it over."""
    this = await require_run(engine, run_id)
    while this.status is RunStatus.RUNNING and this.worker_id in (None, engine.presence.id):
        if engine.presence.lease.is_lost:
            break
        if not await _apply(engine, this):
            logger.info("run %s: an earlier one went on while it waited; planning it anew", run_id)
            await plan(engine, run_id)
        this = await require_run(engine, run_id)
    return this.status


async def execute(engine: Engine, run_id: str) -> RunStatus:
    """Plan a run and make its changes."""
    status = await plan(engine, run_id)
    return await apply(engine, run_id) if status is RunStatus.RUNNING else status


@asynccontextmanager
async def _list_of(engine: Engine, this: Run) -> AsyncIterator[None]:
    """Hold the list of a planned run, after creating it if it is a new one: the run was approved."""
    if is_new_list(this.list_id):
        await _check_mapping(engine, this)
        async with engine.database.read() as db:
            connection = await connections.by_id(db, this.connection_id)
        assert connection is not None
        try:
            await stoppable(engine, this.id, create_list_of_mapping(engine, this.mapping_id))
        except InvalidApiKeyError:
            await _note_refusal(engine, connection)
            raise
        this = await require_run(engine, this.id)
    async with hold_list_lock(engine, this):
        yield


async def _apply(engine: Engine, this: Run) -> bool:
    """Make the changes of a planned run. Returns False, with nothing sent, where it has to be planned anew first."""
    run_id = this.id
    async with record_outcome(engine, run_id), _list_of(engine, this):
        this = await require_run(engine, run_id)  # as it is after the wait for the list
        if this.status is RunStatus.RUNNING and this.ledger_revision is None:
            async with owned_write(engine, run_id) as db:
                await approvals.discard_plan(db, run_id)
            return False
        if this.status is RunStatus.RUNNING:
            await _check_mapping(engine, this)
            while (ended := await _upload(engine, run_id)) is UploadEnd.STALE:
                logger.info("run %s: the list was changed by another run; planning the rest anew", run_id)
            if ended is UploadEnd.DONE:
                await _succeed(engine, run_id)
    return True


async def _mark_uploading(engine: Engine, this: Run) -> None:
    """Settle what becomes of a mapping's other runs now that this one writes.

    A whole audience says all that earlier runs would have; while it only waits for approval, they are still needed.
    Of a whole audience that came later and waits, it is not known any more what it would change.
    """
    earlier = await _earlier(engine, this) if this.mode is SyncMode.MIRROR else []
    async with owned_write(engine, this.id) as db:
        await _supersede_waiting(db, earlier, this)
        if not this.request.live:  # a file leaves alone who has changed live since
            await approvals.discard_plans_after(db, this)
        await runs.set_phase(db, this.id, RunPhase.UPLOADING)


async def _supersede_waiting(db: AsyncConnection, earlier: list[Run], this: Run) -> None:
    for run in earlier:
        reason, error = CancelReason.SUPERSEDED, f"Replaced by run {this.id}."
        await runs.set_status(db, run.id, RunStatus.CANCELLED, error=error, cancel_reason=reason)


async def _plan(engine: Engine, this: Run) -> bool:
    """Plan a run. Returns False, with nothing decided, where an earlier run must be finished first."""
    async with hold_list_lock(engine, this):
        if (await require_run(engine, this.id)).status not in _NOT_YET_PLANNED:  # any more, after the wait for the list
            return True
        await _check_mapping(engine, this)
        async with owned_write(engine, this.id) as db:
            started = this.started_at or await clock.now(db)
            await runs.change(db, this.id, status=RunStatus.PLANNING, started_at=started)
            await runs.set_phase(db, this.id, RunPhase.PLANNING)
        async with owned_write(engine, this.id) as db:
            await reconcile_in_doubt(db, this.connection_id, this.list_id, this.id)
            await doubts.note(db, this.connection_id, this.list_id)
        planned = await stoppable(engine, this.id, _read_and_plan(engine, this))
        earlier = [] if this.request.dry_run else await _earlier(engine, this)
        if earlier and planned.mode is not SyncMode.MIRROR:
            return False
        async with owned_write(engine, this.id) as db:
            await publish_plan(db, this, engine.presence.id, planned)
            if this.request.dry_run:
                await runs.set_status(db, this.id, RunStatus.PLANNED)
            elif planned.plan.guards:
                await runs.set_status(db, this.id, RunStatus.NEEDS_APPROVAL)
                await approvals.note_change(db, this.id, planned.plan)
            else:
                await _supersede_waiting(db, earlier, this)
                await runs.change(db, this.id, status=RunStatus.RUNNING)
    return True


async def _read_and_plan(engine: Engine, this: Run) -> PlanResult:
    """Plan a run whose audience may have to be fetched first."""
    data_dir, addresses = engine.settings.data_dir, addresses_of(engine.vault, this.request)
    if this.undo_of is not None:
        return await _with_enough_memory(lambda mb: plan_undo(engine.database, data_dir, this, mb))
    source_at = None
    if (tried_again := rejected_in(addresses[0])) is not None:
        await lift_suppression(engine, this, tried_again)
        source_at = (await require_run(engine, tried_again)).source_at
    async with engine.database.read() as db:
        connection = await connections.by_id(db, this.connection_id)
        account_id = connection.mparticle_account_id if connection is not None else None
        forgotten = await erasures.forgotten(db, engine.vault, account_id)
        refused = await suppressions.of_connection(db, engine.vault, this.connection_id)
    directory = data_dir / settings.FETCHED / this.id
    engine.fetching[this.id] = directory
    async with contextlib.AsyncExitStack() as stack:
        try:
            files = all_fetched(addresses, directory, engine.fetchers, places_of(engine, this, connection))
            found = await stack.enter_async_context(files)
        finally:
            del engine.fetching[this.id]
        paths = [str(path) for path in found]
        request = this.request.model_copy(update={"path": paths[0], "more_paths": tuple(paths[1:])})
        here = this.model_copy(update={"request": request})
        return await _with_enough_memory(
            lambda mb: plan_run(
                engine.database,
                data_dir,
                here,
                mb,
                forgotten,
                refused,
                address="\n".join((this.request.path, *this.request.more_paths)),
                source_at=source_at,
            )
        )


async def _upload(engine: Engine, run_id: str) -> UploadEnd:
    """Upload what is left of a run, unless what is left goes beyond what was approved."""
    this = await require_run(engine, run_id)
    where = (this.connection_id, this.list_id)
    async with owned_write(engine, run_id) as db:
        await reconcile_in_doubt(db, *where, run_id)
        state = await lists.get(db, *where)
        connection = await connections.by_id(db, this.connection_id)
        assert state is not None
        assert connection is not None
        if state.ledger_revision != this.ledger_revision:
            await reconcile_in_doubt(db, *where, "")
    if state.ledger_revision != this.ledger_revision:
        data_dir, worker = engine.settings.data_dir, engine.presence.id
        is_covered = await _with_enough_memory(
            lambda mb: stoppable(engine, run_id, replan_run(engine.database, data_dir, this, worker, mb))
        )
        if not is_covered:
            return UploadEnd.ASKS
    await _name_audience(engine, this)
    await _mark_uploading(engine, this)
    async with owned_write(engine, run_id) as db:
        revision = await lists.bump(db, *where)
        await runs.change(db, run_id, ledger_revision=revision)
    async with engine.client(connection, rate=this.rate) as client:
        if await was_just_created(engine, this):
            client.expect_new_list(this.list_id)
        try:
            await Uploader(engine.database, client, this, engine.presence.id, revision, engine.stopping).run()
        except StalePlanError:
            return UploadEnd.STALE
        except InvalidApiKeyError:
            await _note_refusal(engine, connection)
            raise
    return UploadEnd.DONE


async def _note_refusal(engine: Engine, connection: Connection) -> None:
    """Record that Iterable refuses the key of a connection: no other run tries it before it is replaced.

    `connection` is as it was when the request was made: a key that was put in its place since was not refused.
    """
    async with engine.database.write() as db:
        await connections.refused(db, connection)


async def _succeed(engine: Engine, run_id: str) -> None:
    this = await require_run(engine, run_id)
    async with owned_write(engine, run_id) as db:
        if this.counters.missing:
            error = NotAccountedForError(
                f"The numbers do not add up: {this.counters.missing} members are not accounted for. The list may be "
                "right; run the sync again, and report this with the run's id."
            )
            await runs.set_status(db, run_id, RunStatus.FAILED, error=error.message, code=error.code)
            await alerting.on_run_ended(db, this, RunStatus.FAILED, error)
        else:
            await runs.set_status(db, run_id, RunStatus.SUCCEEDED)
            await alerting.on_run_ended(db, this, RunStatus.SUCCEEDED)
    await suppress_rejected(engine, this)
    await retention.purge_expired(engine)


async def _earlier(engine: Engine, this: Run) -> list[Run]:
    """Runs of the same mapping that began before this one, sent or would send something, and have not ended."""
    async with engine.database.read() as db:
        found = await runs.unfinished(db, mapping_id=this.mapping_id)
    return [
        run
        for run in found
        if run.created_at < this.created_at
        # an undo that waits is compared once more when it is approved, so it holds up nobody
        and not (run.undo_of is not None and run.status is RunStatus.NEEDS_APPROVAL)
        # what is live waits for no approval of a file, which leaves alone who has changed since
        and not (this.request.live and run.status is RunStatus.NEEDS_APPROVAL)
        and not (run.status is RunStatus.FAILED and run.plan is None)  # nothing of it could be used
    ]


async def _finish_earlier_runs(engine: Engine, this: Run, earlier: Run) -> None:
    """Finish an earlier run, or wait until whoever is at work on it has, because what comes now only adds to it."""
    await wait_for_run(engine, this.id, earlier.id)
    if await is_in_progress(engine, earlier):
        while await is_in_progress(engine, await require_run(engine, earlier.id)):
            await raise_if_stopped(engine, this.id)
            await asyncio.sleep(cancellation.LOOK_AGAIN_S)
        return
    if earlier.status is RunStatus.NEEDS_APPROVAL:
        raise EarlierRunAwaitingApprovalError(
            f"Run {earlier.id} of the same mapping waits for approval, and what it would do comes first.",
            run_id=earlier.id,
        )
    async with engine.database.write() as db:
        if await runs.reopen(db, earlier, engine.presence.id) is None:
            return
    status = await _execute_stoppably(engine, this, earlier.id)
    if status is RunStatus.FAILED and (await require_run(engine, earlier.id)).plan is not None:
        error = (await require_run(engine, earlier.id)).error
        raise EarlierRunFailedError(
            f"Run {earlier.id} of the same mapping is unfinished, must come first, and failed again: {error}",
            run_id=earlier.id,
        )
    if status is RunStatus.INTERRUPTED:
        raise RunStoppedError(StopReason.INTERRUPT)


async def _execute_stoppably(engine: Engine, this: Run, earlier_id: str) -> RunStatus:
    """Execute an earlier run. Where this one is asked to stop meanwhile, both do; the earlier can be resumed."""
    task = asyncio.create_task(execute(engine, earlier_id), name=f"run {earlier_id}")
    try:
        while not (await asyncio.wait([task], timeout=cancellation.LOOK_AGAIN_S))[0]:
            try:
                await raise_if_stopped(engine, this.id)
            except RunStoppedError:
                async with engine.database.write() as db:
                    await runs.request_stop(db, earlier_id, StopReason.INTERRUPT)
                await task
                raise
        return task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def is_in_progress(engine: Engine, this: Run) -> bool:
    """Whether a process that is alive has a run in hand."""
    return this.status.is_active and this.worker_id is not None and not await engine.presence.is_dead(this.worker_id)


async def _check_mapping(engine: Engine, this: Run) -> None:
    """Raise InputError where the run's mapping must not be synced now."""
    async with engine.database.read() as db:
        await check_may_run(db, this.mapping_id)


async def _name_audience(engine: Engine, this: Run) -> None:
    """Record of which audience the mapping is, so that a file of another one is noticed."""
    assert this.plan is not None
    found = (this.plan.audience_id, this.plan.audience_name)
    async with owned_write(engine, this.id) as db:
        target = await mappings.by_id(db, this.mapping_id)
        assert target is not None
        if is_other_audience(target, *found):  # and a person approved it
            await mappings.set_audience(db, target.id, *found)
        else:
            await mappings.name_audience(db, target.id, *found)


async def _with_enough_memory(plan: Callable[[int], Awaitable[T]]) -> T:
    """Plan within the first of the memory limits that suffices. Raises duckdb.OutOfMemoryException where none does."""
    for memory_mb in MEMORY_MB[:-1]:
        try:
            return await plan(memory_mb)
        except duckdb.OutOfMemoryException:
            logger.info("planning needs more than %s MB of memory", memory_mb)
    return await plan(MEMORY_MB[-1])
