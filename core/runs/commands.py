"""Commands on runs: start, cancel, retry, repeat. Each writes an audit entry.

They return quickly: they queue a run, and a worker executes it.
"""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import ConflictError, NotFoundError
from core.models.run import Run, RunRequest, RunStatus, StopReason, SyncMode
from core.runs.addresses import sealed
from core.runs.lookup import require, require_run_with_mapping
from core.runs.rejected_members import REJECTED_SCHEME
from core.runs.submission import check_may_run, check_queue, enqueue, record_start
from core.store import audit_log, clock, connections, idempotency_keys, live_mappings, rejections, runs
from core.store.audit_log import AuditAction
from core.store.idempotency_keys import IdempotencyKey
from core.store.mappings import AudienceMapping

# A repetition within so many seconds counts as a second click on the same button.
SECOND_CLICK_S = 10.0
# How many of the mapping's newest runs are searched for the run that the first click started.
RECENT_RUNS = 20
#: The statuses of runs that can be retried.
RETRYABLE = (RunStatus.FAILED, RunStatus.INTERRUPTED)


async def start(
    engine: Engine,
    mapping: AudienceMapping,
    request: RunRequest,
    *,
    by: str,
    channel: str | None,
    team_id: str | None,
    repeats: str | None = None,
    once: IdempotencyKey | None = None,
) -> str:
    """Queue a run of a mapping, and return its id.

    `repeats` is the run that is repeated. If a request with the key `once` has started a run before, that run is
    returned. Raises NotFoundError if the mapping was removed, and ConflictError if it is paused or declined, if too
    many runs of the connection wait, if the run was repeated already, or if the key was used for another request.
    """
    request = sealed(engine.vault, request).model_copy(update={"team_id": team_id})
    async with engine.database.write() as db:
        connection = await connections.by_id(db, mapping.connection_id)
        assert connection is not None
        if repeats is not None:
            await _refuse_second_click(db, mapping, request, repeats)
        if once is not None:
            await live_mappings.lock(db, mapping.id)
            if (earlier_id := await idempotency_keys.run_of(db, once)) is not None:
                return earlier_id
        run_id = await enqueue(db, connection, mapping, request, started_by=by, channel=channel)
        await record_start(db, run_id, mapping, request, by=by, team_id=team_id)
        if once is not None:
            await idempotency_keys.add(db, once, run_id)
    engine.queued.set()
    return run_id


async def _refuse_second_click(
    db: AsyncConnection, mapping: AudienceMapping, request: RunRequest, repeats: str
) -> None:
    await live_mappings.lock(db, mapping.id)
    now = await clock.now(db)
    for run in await runs.latest_of(db, [mapping.id], RECENT_RUNS):
        if (run.request.path, run.request.more_paths) != (request.path, request.more_paths) or run.undo_of is not None:
            continue
        is_under_way = run.status.is_active or run.status is RunStatus.NEEDS_APPROVAL
        if is_under_way or (run.id != repeats and 0.0 <= now - run.created_at < SECOND_CLICK_S):
            raise ConflictError(f"Someone has started this already: it is run {run.id}.", run_id=run.id)


async def repeat(
    engine: Engine,
    run_id: str,
    *,
    by: str,
    channel: str | None,
    team_id: str | None,
    columns: Mapping[str, str] | None = None,
    sends: bool = False,
) -> str:
    """Queue a run with the same request, which reads the source again, and return its id.

    `columns` are added to the columns that the request chooses (see RunRequest). `sends`: the repeat of a dry run is no
    dry run. Raises NotFoundError if there is no such run, and ConflictError as `start` does, or if the run is an undo.
    """
    run, mapping = await require_run_with_mapping(engine, run_id)
    if run.undo_of is not None:
        raise ConflictError("The undo of a run can't be repeated. Start a sync instead.")
    chosen = {**run.request.columns, **(columns or {})}
    renewed = {
        "approved": False,
        "allow_empty": False,
        "columns": chosen,
        "group": None,
        "on_behalf_of": None,
        "dry_run": run.request.dry_run and not sends,
    }
    request = run.request.model_copy(update=renewed)
    return await start(engine, mapping, request, by=by, channel=channel or run.channel, team_id=team_id, repeats=run_id)


async def retry(engine: Engine, run_id: str, *, by: str, team_id: str | None) -> None:
    """Queue a failed or interrupted run, to resume from where it stopped.

    Raises NotFoundError if there is no such run, and ConflictError if it did not fail or was retried already.
    """
    async with engine.database.write() as db:
        run = await require(db, run_id)
        if run.status not in RETRYABLE:
            status = run.status.value.replace("_", " ")
            if run.attempt and run.status is not RunStatus.CANCELLED:  # it failed, and was resumed since
                raise ConflictError(f"Someone has retried run {run_id} already ({status}).", run_id=run_id)
            raise ConflictError(f"Run {run_id} did not fail ({status}), so it can't be retried.", run_id=run_id)
        await check_may_run(db, run.mapping_id, run.request)
        await check_queue(db, run.connection_id)
        if await reopen(db, run, None, by=by, team_id=team_id) is None:
            raise ConflictError(f"Someone has retried run {run_id} already.", run_id=run_id)
    engine.queued.set()


async def reopen(db: AsyncConnection, run: Run, worker: str | None, *, by: str, team_id: str | None) -> int | None:
    """Resume a stopped run as this worker's (None: any worker's). A refused API key is tried again.

    Returns the number of the new attempt, or None if another process resumed it first.
    """
    attempt = await runs.reopen(db, run, worker)
    if attempt is not None:
        await connections.change(db, run.connection_id, key_rejected_at=None)
        if run.status in RETRYABLE:
            subject = f"run:{run.id}"
            await audit_log.add(db, team_id=team_id, actor=by, action=AuditAction.RUN_RETRIED, subject=subject)
    return attempt


async def retry_rejected(engine: Engine, run_id: str, *, by: str, channel: str | None, team_id: str | None) -> str:
    """Queue a run that tries a run's rejected members again, and return its id.

    Raises NotFoundError if there is no such run or no rejection of it, and ConflictError as `start` does.
    """
    run, mapping = await require_run_with_mapping(engine, run_id)
    async with engine.database.read() as db:
        has_rejections = bool(await rejections.by_reason(db, run_id))
    if not has_rejections:
        raise NotFoundError(f"Run {run_id} rejected no member, or its rejections have expired.")
    request = RunRequest(path=f"{REJECTED_SCHEME}:{run_id}", audience=run.request.audience, mode=SyncMode.ADD)
    return await start(engine, mapping, request, by=by, channel=channel or run.channel, team_id=team_id, repeats=run_id)


async def record_rejections_taken(engine: Engine, run_id: str, members: int, *, by: str, team_id: str | None) -> None:
    """Write the audit entry for the file of a run's rejected members, before the person gets the file."""
    async with engine.database.write() as db:
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.REJECTIONS_TAKEN,
            subject=f"run:{run_id}",
            after={"members": members},
        )


async def cancel(engine: Engine, run_id: str, *, by: str, team_id: str | None) -> bool:
    """Cancel a run. Returns True if it is cancelled, False if its worker will cancel it after the requests in flight.

    Raises NotFoundError if there is no such run, and ConflictError if it has ended or is being cancelled already.
    """
    async with engine.database.write() as db:
        run = await runs.lock(db, run_id)  # no worker may claim it meanwhile
        if run is None:
            raise NotFoundError(f'There is no run "{run_id}".', run_id=run_id)
        if not run.status.is_resumable:
            raise ConflictError(f"Run {run_id} has ended ({run.status}); there is nothing to cancel.", run_id=run_id)
        has_worker = run.status.is_active and run.worker_id is not None
        is_requested = run.stop_requested is StopReason.CANCEL
        if has_worker and is_requested:
            raise ConflictError(
                f"Run {run_id} is being cancelled already: it stops after the requests under way.", run_id=run_id
            )
        if has_worker:
            await runs.request_stop(db, run_id, StopReason.CANCEL)
        else:
            await runs.set_status(db, run_id, RunStatus.CANCELLED)
        if not is_requested:  # otherwise the audit entry exists, and the run's worker died since
            before = {"status": run.status.value}
            subject = f"run:{run_id}"
            await audit_log.add(
                db, team_id=team_id, actor=by, action=AuditAction.RUN_CANCELLED, subject=subject, before=before
            )
    return not has_worker
