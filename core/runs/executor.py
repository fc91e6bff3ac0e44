"""The steps of a run: planning and uploading. Earlier runs of the same mapping come first.

Each step can be repeated at any point, because the database has the state of the run. `core.runs.worker` repeats the
steps after a process died.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from core import settings, telemetry
from core.connections import data_fields, mparticle
from core.connections.campaigns import refresh_campaigns
from core.connections.exclusions import exclusions_of
from core.connections.forgotten import fetch_forgotten
from core.connections.lists import ensure_list_known, is_just_created
from core.connections.new_lists import create_list_of_mapping
from core.connections.project_type import learn_project_type
from core.delivery.recorder import StalePlanError, reconcile_in_doubt
from core.delivery.uploader import Uploader
from core.engine import Engine
from core.errors import EarlierRunAwaitingApprovalError, EarlierRunFailedError, NotAccountedForError
from core.identity import ProjectType
from core.iterable import InvalidApiKeyError
from core.models.run import (
    CancelReason,
    Run,
    RunFrozenError,
    RunPhase,
    RunStatus,
    RunStoppedError,
    StopReason,
    SyncMode,
)
from core.planning import plan_emptying, plan_repair, plan_run, plan_undo, publish_plan, replan_run
from core.planning.approval_rules import PlanResult
from core.planning.guards import is_other_audience
from core.planning.small_workspace import SMALL_MEMBERS
from core.planning_slots import size_of
from core.privacy.suppression import lift_suppression, suppress_rejected
from core.runs import cancellation
from core.runs.addresses import addresses_of, places_of
from core.runs.approval import confirm_mapping
from core.runs.cancellation import raise_if_stopped, stoppable, wait_for_run
from core.runs.freeze_wait import is_still_frozen, raise_if_frozen
from core.runs.list_lock import ListHold, hold_list_lock
from core.runs.list_people import people_on_list, save_people, schedule_check, with_enough_memory
from core.runs.lookup import require, require_run
from core.runs.outcome import outlasting_outages, record_outcome
from core.runs.ownership import owned_write
from core.runs.rejected_members import rejected_in
from core.runs.run_end import on_run_ended
from core.runs.submission import check_may_run
from core.sources.fetch import fetch_files
from core.store import approvals, clock, connections, doubts, erasures, inbox, lists, mappings, runs, suppressions
from core.store.connections import Connection
from core.store.lists import ListState
from core.store.mappings import AudienceMapping, is_new_list
from core.telemetry.log_context import log_ids

logger = logging.getLogger(__name__)

T = TypeVar("T")


class UploadEnd(Enum):
    """How an upload ended."""

    DONE = "done"
    STALE = "stale"
    """Another run changed the list, so the remaining changes have to be planned again."""
    ASKS = "asks"
    """The remaining changes exceed what was approved, so the run waits for approval."""
    DISCARDED = "discarded"
    """Another run changed the list, and nothing was sent: the run has to be planned again from the start."""


@dataclass(frozen=True, slots=True)
class _Upload:
    """An upload that has begun: the ledger of its list has this revision."""

    run: Run
    connection: Connection
    revision: int
    is_just_created: bool
    """Whether parts of Iterable may not know the list yet."""


_NOT_YET_PLANNED = (RunStatus.QUEUED, RunStatus.PLANNING)


@outlasting_outages
async def plan(engine: Engine, run_id: str) -> RunStatus:
    """Plan a run that has no plan yet, and return its status: RUNNING if its upload may start.

    Earlier runs of the mapping are executed first if they have to be. Raises NotFoundError if there is no such run, and
    StorageError if not even a failure could be recorded.
    """
    return await _plan_in_turn(engine, run_id, uploads=False)


@outlasting_outages
async def _plan_and_upload(engine: Engine, run_id: str) -> RunStatus:
    """As `plan`, and upload the changes at once if nothing has to come in between."""
    return await _plan_in_turn(engine, run_id, uploads=True)


async def _plan_in_turn(engine: Engine, run_id: str, *, uploads: bool) -> RunStatus:
    async with engine.database.read() as db:
        run = await require(db, run_id)
        if run.status not in _NOT_YET_PLANNED:
            return run.status
        is_list_known = await lists.get(db, run.connection_id, run.list_id) is not None
        connection = await connections.by_id(db, run.connection_id)
    async with record_outcome(engine, run_id):
        if not is_list_known:
            await stoppable(engine, run_id, ensure_list_known(engine, run))
        if connection is not None and connection.project_type is None:
            await stoppable(engine, run_id, learn_project_type(engine, run.connection_id))
        while not await _plan(engine, run, uploads=uploads):
            async with engine.database.read() as db:
                unfinished = await _earlier_runs(db, run)
            for earlier in unfinished:
                if earlier.is_frozen and await is_still_frozen(engine, run.mapping_id):
                    raise RunFrozenError
                await _finish_earlier_run(engine, run, earlier)
            await raise_if_stopped(engine, run_id)
            await asyncio.sleep(cancellation.LOOK_AGAIN_S / 10)
    return (await require_run(engine, run_id)).status


@outlasting_outages
async def apply(engine: Engine, run_id: str) -> RunStatus:
    """Upload the changes of a planned run, and return its status: RUNNING if another process has taken it over.

    Raises NotFoundError if there is no such run, and StorageError if not even a failure could be recorded.
    """
    run = await require_run(engine, run_id)
    while run.status is RunStatus.RUNNING and run.worker_id in (None, engine.presence.id):
        if engine.presence.lease.is_lost:
            break
        if not await _apply(engine, run):
            logger.info("run %s: an earlier run changed the list meanwhile; planning again", run_id)
            await asyncio.sleep(cancellation.LOOK_AGAIN_S / 10)
            await plan(engine, run_id)
        run = await require_run(engine, run_id)
        if run.is_frozen:
            break
    return run.status


async def execute(engine: Engine, run_id: str) -> RunStatus:
    """Plan a run and upload its changes. Returns its status. Raises what `plan` and `apply` raise."""
    run = await require_run(engine, run_id)
    mapping_id, connection_id = run.mapping_id, run.connection_id
    with (
        log_ids(run_id=run_id, mapping_id=mapping_id, connection_id=connection_id),
        telemetry.span("run", run_id=run_id, mapping_id=mapping_id, connection_id=connection_id) as ended,
    ):
        status = await _execute(engine, run)
        ended["status"] = status.value
    return status


async def _execute(engine: Engine, run: Run) -> RunStatus:
    if run.status in _NOT_YET_PLANNED:
        status = await _plan_and_upload(engine, run.id)
        if status is not RunStatus.RUNNING or (await require_run(engine, run.id)).is_frozen:
            return status
    return await apply(engine, run.id)


@asynccontextmanager
async def _hold_list(engine: Engine, run: Run) -> AsyncIterator[ListHold[Run]]:
    """Hold the list lock of a planned run, which may have changed during the wait for the list.

    A new list is created first, because its run was approved.
    """
    if is_new_list(run.list_id):
        async with engine.database.read() as db:
            await check_may_run(db, run.mapping_id, run.request)
            connection = await connections.by_id(db, run.connection_id)
        assert connection is not None
        try:
            await stoppable(engine, run.id, create_list_of_mapping(engine, run.mapping_id))
        except InvalidApiKeyError:
            await record_refused_key(engine, connection)
            raise
        run = await require_run(engine, run.id)

    async def begin(db: AsyncConnection) -> Run:
        current = await require(db, run.id)
        if current.status is RunStatus.RUNNING and current.ledger_revision is None:
            await approvals.discard_plan(db, run.id)
        elif current.status is RunStatus.RUNNING:
            await check_may_run(db, run.mapping_id, run.request)
        return current

    async with hold_list_lock(engine, run, begin) as hold:
        yield hold


async def _apply(engine: Engine, run: Run) -> bool:
    """Upload the changes of a planned run. Returns False, with nothing sent, if it has to be planned again first."""
    async with record_outcome(engine, run.id), _hold_list(engine, run) as hold:
        if hold.begun.status is RunStatus.RUNNING and hold.begun.ledger_revision is None:
            return False
        if hold.begun.status is RunStatus.RUNNING:
            await raise_if_frozen(engine, run)
            return await _upload_rest(engine, run.id, hold, None)
    return True


async def _upload_rest(engine: Engine, run_id: str, hold: ListHold[Any], begun: _Upload | None) -> bool:
    """Upload what is left of a plan, and end the run. `begun`: this upload has been begun already.

    Returns False, with nothing sent, if the run has to be planned again first.
    """
    while (end := await _upload(engine, run_id, begun)) is UploadEnd.STALE:
        begun = None
        logger.info("run %s: another run changed the list; planning the rest again", run_id)
        await raise_if_stopped(engine, run_id)
        await asyncio.sleep(cancellation.LOOK_AGAIN_S / 10)  # so that runs that keep changing it take turns
    if end is UploadEnd.DONE:
        await _succeed(engine, run_id, hold)
    return end is not UploadEnd.DISCARDED


async def upload_rest(engine: Engine, run_id: str, hold: ListHold[Any]) -> None:
    """Upload what is left of a live run whose first requests were sent and recorded elsewhere, and end the run.

    The caller holds the list lock. Raises what ends an upload, as `apply` records it.
    """
    await _upload_rest(engine, run_id, hold, None)


async def _begin_upload(engine: Engine, db: AsyncConnection, run: Run, state: ListState) -> _Upload:
    """Record that a run uploads, and update the other runs of its mapping.

    A mirror run replaces earlier runs as soon as it uploads; until then, while it may wait for approval, they are still
    needed. Later mirror runs that wait for approval have to be planned again, because the list changes.
    """
    mapping = await check_may_run(db, run.mapping_id, run.request)  # it may have been paused while the run was planned
    connection = await connections.by_id(db, run.connection_id)
    assert connection is not None
    await _name_audience(db, run, mapping)
    if run.mode is SyncMode.MIRROR:
        await _supersede_waiting(db, await _earlier_runs(db, run), run)
    if not run.request.live:  # the run of a file skips the members that changed live since
        await approvals.discard_plans_after(db, run)
    if mapping.project_type is not run.project_type:
        await mappings.change(db, run.mapping_id, project_type=run.project_type)
    await confirm_mapping(db, run)
    revision = await lists.bump(db, run.connection_id, run.list_id)
    if run.finished_at is not None:  # it was frozen since
        await runs.change(db, run.id, approval_wait_s=runs.waited(await clock.now(db)), finished_at=None)
    await runs.change(
        db,
        run.id,
        phase=RunPhase.UPLOADING,
        waiting_for_run_id=None,
        ledger_revision=revision,
    )
    is_new = is_just_created(await clock.now(db), state.list_created_at, mapping)
    return _Upload(run, connection, revision, is_new)


async def _supersede_waiting(db: AsyncConnection, earlier_runs: list[Run], run: Run) -> None:
    for earlier in earlier_runs:
        reason, error = CancelReason.SUPERSEDED, f"Replaced by run {run.id}."
        await runs.set_status(db, earlier.id, RunStatus.CANCELLED, error=error, cancel_reason=reason)


async def _plan(engine: Engine, run: Run, *, uploads: bool) -> bool:
    """Plan a run. Returns False, with no plan stored, if an earlier run has to end first.

    `uploads`: upload its changes while the list is held, unless a person has to approve them or the list is new.
    """

    async def begin(db: AsyncConnection) -> Run | None:
        return await _begin_planning(db, run)

    async with hold_list_lock(engine, run, begin) as hold:
        if hold.begun is None:  # planned during the wait for the list
            return True
        with telemetry.span("plan", run_id=run.id) as ended:
            planned = await stoppable(engine, run.id, _read_and_plan(engine, hold.begun))
            ended["mode"] = planned.mode.value
        async with owned_write(engine, run.id) as db:
            earlier = [] if run.request.dry_run else await _earlier_runs(db, run)
            if earlier and planned.mode is not SyncMode.MIRROR:
                return False
            uploads = await _publish(db, hold.begun, engine.presence.id, planned, earlier) and uploads
            begun = await _begin_at_once(engine, db, hold.begun, planned) if uploads else None
        if uploads and not is_new_list(run.list_id):
            await raise_if_frozen(engine, hold.begun)
            return await _upload_rest(engine, run.id, hold, begun)
    return True


async def _begin_planning(db: AsyncConnection, run: Run) -> Run | None:
    """Record that a run is planned. Returns the run, or None if it was planned already."""
    current = await require(db, run.id)
    if current.status not in _NOT_YET_PLANNED:
        return None
    await check_may_run(db, run.mapping_id, run.request)
    connection = await connections.by_id(db, run.connection_id)
    assert connection is not None
    known = connection.project_type or ProjectType.EMAIL
    await runs.begin(db, run, known)
    await reconcile_in_doubt(db, run.connection_id, run.list_id, run.id)
    await doubts.note(db, run.connection_id, run.list_id)
    return run.model_copy(update={"project_type": known})


async def _publish(db: AsyncConnection, run: Run, worker: str, planned: PlanResult, earlier: list[Run]) -> bool:
    """Store the plan of a run. Returns whether it may be uploaded without an approval."""
    await publish_plan(db, run, worker, planned)
    if run.request.dry_run:
        await runs.set_status(db, run.id, RunStatus.PLANNED)
    elif planned.plan.guards:
        await runs.set_status(db, run.id, RunStatus.NEEDS_APPROVAL)
        await approvals.note_change(db, run.id, planned.plan)
    else:
        await _supersede_waiting(db, earlier, run)
        await runs.change(db, run.id, status=RunStatus.RUNNING)
        return True
    return False


async def _begin_at_once(engine: Engine, db: AsyncConnection, run: Run, planned: PlanResult) -> _Upload | None:
    """Begin the upload of a micro-batch with its plan. Returns None if other runs have changed the ledger meanwhile.

    Files may be held back by a freeze, which is asked about after that.
    """
    if not run.request.live:
        return None
    state = await lists.get(db, run.connection_id, run.list_id)
    if state is None or state.ledger_revision != planned.revision:
        return None
    return await _begin_upload(engine, db, run.model_copy(update={"plan": planned.plan, "mode": planned.mode}), state)


async def _read_and_plan(engine: Engine, run: Run) -> PlanResult:
    """Fetch the audience of a run if necessary, and return its plan."""
    data_dir, addresses = engine.settings.data_dir, addresses_of(engine.vault, run.request)
    if run.undo_of is not None:
        async with engine.planning_slots.hold(None):
            return await with_enough_memory(lambda mb: plan_undo(engine.database, data_dir, run, mb))
    if run.request.empties:
        async with engine.planning_slots.hold(None):
            return await with_enough_memory(lambda mb: plan_emptying(engine.database, data_dir, run, mb))
    if run.request.repairs is not None:
        return await _plan_repair(engine, run)
    source_at = None
    if (rejecting_run_id := rejected_in(addresses[0])) is not None:
        await lift_suppression(engine, run, rejecting_run_id)
        source_at = (await require_run(engine, rejecting_run_id)).source_at
    async with engine.database.read() as db:
        connection = await connections.by_id(db, run.connection_id)
        account_id = connection.mparticle_account_id if connection is not None else None
        forgotten = await erasures.forgotten(db, engine.vault, account_id)
        refused = await suppressions.of_connection(db, engine.vault, run.connection_id)
        mapping = await mappings.by_id(db, run.mapping_id)
        is_small = run.request.live and await inbox.claimed_count(db, run.id) <= SMALL_MEMBERS
    assert connection is not None
    is_deleted = False
    if not run.request.live:
        await refresh_campaigns(engine, connection)
        is_deleted = await mparticle.is_missing(engine, mapping)
    hashes = await fetch_forgotten(engine, connection, is_live=run.request.live)
    fields = None
    # a file of rejections has no other columns, and a run that takes a list over sends nothing to the people on it
    if rejecting_run_id is None and run.request.adopts is None:
        max_age_s = data_fields.FRESH_S if run.request.live else 0.0
        fields = await data_fields.settings_for(engine, run, max_age_s=max_age_s)
    directory = data_dir / settings.FETCHED / run.id
    async with contextlib.AsyncExitStack() as stack:
        files = fetch_files(addresses, directory, engine.fetchers, places_of(engine, run, connection))
        fetched = await stack.enter_async_context(files)
        people = None
        if run.request.adopts is not None and connection is not None:
            people = await save_people(engine, connection, run.list_id, directory)
        places = None if run.request.live else places_of(engine, run, connection)
        excluded = await stack.enter_async_context(exclusions_of(engine, run, directory / "excluded", places))
        paths = [str(path) for path in fetched]
        request = run.request.model_copy(update={"path": paths[0], "more_paths": tuple(paths[1:])})
        local_run = run.model_copy(update={"request": request})
        if not is_small or (excluded is not None and excluded.files):  # the others are planned without DuckDB
            size = await asyncio.to_thread(size_of, [] if request.live else fetched)
            await stack.enter_async_context(engine.planning_slots.hold(size))
        return await with_enough_memory(
            lambda mb: plan_run(
                engine.database,
                data_dir,
                local_run,
                mb,
                forgotten,
                refused,
                address="\n".join((run.request.path, *run.request.more_paths)),
                source_at=source_at,
                forgotten=None if hashes is None else (hashes.emails, hashes.user_ids),
                people_on_list=people,
                merges=connection.merges_profiles and not request.live,  # no one approves the plan of live changes
                fields=fields,
                exclusions=excluded,
                is_deleted=is_deleted,
            )
        )


async def _plan_repair(engine: Engine, run: Run) -> PlanResult:
    """Read who is on the list of a repair, and return its plan."""
    data_dir = engine.settings.data_dir
    async with engine.database.read() as db:
        connection = await connections.by_id(db, run.connection_id)
    assert connection is not None
    async with people_on_list(engine, connection, run.list_id, run.id) as people, engine.planning_slots.hold(None):
        return await with_enough_memory(lambda mb: plan_repair(engine.database, data_dir, run, people, mb))


async def _upload(engine: Engine, run_id: str, begun: _Upload | None) -> UploadEnd:
    """Upload the remaining changes of a run, unless they exceed what was approved."""
    upload = begun or await _resume_upload(engine, run_id)
    if isinstance(upload, UploadEnd):
        return upload
    run, connection = upload.run, upload.connection
    async with engine.client(connection, rate=run.rate) as client:
        if upload.is_just_created:
            client.expect_new_list(run.list_id)
        try:
            merges = connection.merges_profiles and run.plan is not None and run.plan.to_merge > 0
            uploader = Uploader(
                engine.database,
                client,
                run,
                engine.presence.id,
                upload.revision,
                engine.stopping,
                engine.vault,
                ending=engine.ending_runs,
                merges=merges,
            )
            await uploader.run()
        except StalePlanError:
            return UploadEnd.STALE
        except InvalidApiKeyError:
            await record_refused_key(engine, connection)
            raise
    return UploadEnd.DONE


def _is_compared_again(run: Run) -> bool:
    """Return whether a plan can't be completed from the ledger alone, because it depends on who is on the list.

    If a part was sent already, the rest is completed from the ledger.
    """
    request = run.request
    depends = request.repairs is not None or request.adopts is not None or request.full or request.empties
    return run.requests == 0 and depends


async def _resume_upload(engine: Engine, run_id: str) -> _Upload | UploadEnd:
    """Begin the upload of a run whose plan was stored before. Its rest is planned again if the list has changed.

    Returns how the upload ends instead if the rest exceeds what was approved, or can't be planned from the ledger.
    """
    async with owned_write(engine, run_id) as db:
        run = await require(db, run_id)
        list_key = (run.connection_id, run.list_id)
        await reconcile_in_doubt(db, *list_key, run_id)
        state = await lists.get(db, *list_key)
        assert state is not None
        if state.ledger_revision == run.ledger_revision:
            return await _begin_upload(engine, db, run, state)
        await reconcile_in_doubt(db, *list_key, "")
        if _is_compared_again(run):
            await approvals.discard_plan(db, run_id)
            return UploadEnd.DISCARDED
    data_dir, worker = engine.settings.data_dir, engine.presence.id
    fields = await data_fields.stored_fields(engine) if run.plan is not None and run.plan.fields else None
    is_covered = await with_enough_memory(
        lambda mb: stoppable(engine, run_id, replan_run(engine.database, data_dir, run, worker, mb, fields))
    )
    if not is_covered:
        return UploadEnd.ASKS
    async with owned_write(engine, run_id) as db:
        return await _begin_upload(engine, db, run, state)


async def record_refused_key(engine: Engine, connection: Connection) -> None:
    """Record that Iterable refused a connection's key, so that no run uses it until it is replaced.

    `connection` has the key that the request used. If the key was replaced since, nothing is recorded.
    """
    async with engine.database.write() as db:
        await connections.refused(db, connection)


async def _succeed(engine: Engine, run_id: str, hold: ListHold[Any]) -> None:
    async with owned_write(engine, run_id) as db:
        run = await require(db, run_id)
        if not run.counters.rejected:
            await hold.release(db)
        if run.counters.missing:
            error = NotAccountedForError(
                f"The numbers do not add up: {run.counters.missing} members are not accounted for. The list may be "
                "right. Run the sync again, and report this with the run's id."
            )
            await runs.set_status(db, run_id, RunStatus.FAILED, error=error.message, code=error.code)
            await on_run_ended(db, run, RunStatus.FAILED, error)
        else:
            await runs.set_status(db, run_id, RunStatus.SUCCEEDED)
            await schedule_check(db, run)
            await on_run_ended(db, run, RunStatus.SUCCEEDED)
    if run.counters.rejected:  # before another run plans for this list
        await suppress_rejected(engine, run)
    else:
        hold.is_released = True


async def _earlier_runs(db: AsyncConnection, run: Run) -> list[Run]:
    """Return the unfinished runs of the same mapping that were created before this one and have to end first."""
    unfinished = await runs.unfinished(db, mapping_id=run.mapping_id)
    return [
        earlier
        for earlier in unfinished
        if earlier.created_at < run.created_at
        and not (earlier.is_compared_when_approved and earlier.status is RunStatus.NEEDS_APPROVAL)
        # a micro-batch does not wait for the approval of a file, whose run skips the members that changed since
        and not (run.request.live and (earlier.status is RunStatus.NEEDS_APPROVAL or earlier.is_frozen))
        and not (earlier.status is RunStatus.FAILED and earlier.plan is None)  # its source could not be planned
    ]


async def _finish_earlier_run(engine: Engine, run: Run, earlier: Run) -> None:
    """Finish an earlier run, or wait for the worker that executes it: this run only adds to its changes.

    Raises EarlierRunAwaitingApprovalError, EarlierRunFailedError, or RunStoppedError if either run is to stop.
    """
    await wait_for_run(engine, run.id, earlier.id)
    if await is_in_progress(engine, earlier):
        while await is_in_progress(engine, await require_run(engine, earlier.id)):
            await raise_if_stopped(engine, run.id)
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
    status = await _execute_stoppably(engine, run, earlier.id)
    if status is RunStatus.FAILED and (await require_run(engine, earlier.id)).plan is not None:
        error = (await require_run(engine, earlier.id)).error
        raise EarlierRunFailedError(
            f"Run {earlier.id} of the same mapping is unfinished, must come first, and failed again: {error}",
            run_id=earlier.id,
        )
    if status is RunStatus.INTERRUPTED:
        raise RunStoppedError(StopReason.INTERRUPT)


async def _execute_stoppably(engine: Engine, run: Run, earlier_id: str) -> RunStatus:
    """Execute an earlier run and return its status. If this run is to stop, both stop; the earlier can be resumed."""
    task = asyncio.create_task(execute(engine, earlier_id), name=f"run {earlier_id}")
    try:
        while not (await asyncio.wait([task], timeout=cancellation.LOOK_AGAIN_S))[0]:
            try:
                await raise_if_stopped(engine, run.id)
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


async def is_in_progress(engine: Engine, run: Run) -> bool:
    """Return whether a live process is executing a run."""
    return run.status.is_active and run.worker_id is not None and not await engine.presence.is_dead(run.worker_id)


async def _name_audience(db: AsyncConnection, run: Run, mapping: AudienceMapping) -> None:
    """Record the audience of the mapping, so that a file of another audience is noticed."""
    assert run.plan is not None
    audience = (run.plan.audience_id, run.plan.audience_name)
    if audience == (mapping.audience_id, mapping.audience_name):
        return
    if is_other_audience(mapping, *audience):  # an approver accepted the change
        await mappings.set_audience(db, mapping.id, *audience)
    else:
        await mappings.name_audience(db, mapping.id, *audience)
