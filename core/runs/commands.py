"""What people do to runs: start, cancel, retry, repeat. Each is recorded in the audit table with who did it.

Nothing here takes long: a run is queued, and whoever works takes it up.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import ConflictError, NotFoundError
from core.models.run import Run, RunRequest, RunStatus, StopReason, SyncMode
from core.runs.addresses import sealed
from core.runs.lookup import require, require_run_with_mapping
from core.runs.rejected_members import REJECTED_SCHEME
from core.runs.submission import check_may_run, check_queue, enqueue, record_start
from core.store import audit_log, clock, connections, live_mappings, rejections, runs
from core.store.audit_log import AuditAction
from core.store.mappings import AudienceMapping

# A second click on the same button comes within so many seconds, and finds what it began among so many runs.
TWICE_S = 10.0
LOOKED_AT = 20
#: What a run that can be retried ended as.
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
) -> str:
    """Queue a run of a mapping. Returns its id. Raises InputError where the mapping is paused or declined.

    `repeats` is the run that is repeated by it: who clicks twice repeats it once, and gets an InputError.
    """
    request = sealed(engine.vault, request).model_copy(update={"team_id": team_id})
    async with engine.database.write() as db:
        connection = await connections.by_id(db, mapping.connection_id)
        assert connection is not None
        if repeats is not None:
            await _refuse_twice(db, mapping, request, repeats)
        run_id = await enqueue(db, connection, mapping, request, started_by=by, channel=channel)
        await record_start(db, run_id, mapping, request, by=by, team_id=team_id)
    engine.queued.set()
    return run_id


async def _refuse_twice(db: AsyncConnection, mapping: AudienceMapping, request: RunRequest, repeats: str) -> None:
    await live_mappings.lock(db, mapping.id)
    now = await clock.now(db)
    for run in await runs.latest_of(db, [mapping.id], LOOKED_AT):
        if (run.request.path, run.request.more_paths) != (request.path, request.more_paths) or run.undo_of is not None:
            continue
        is_under_way = run.status.is_active or run.status is RunStatus.NEEDS_APPROVAL
        if is_under_way or (run.id != repeats and 0.0 <= now - run.created_at < TWICE_S):
            raise ConflictError(f"Someone has started this already: it is run {run.id}.", run_id=run.id)


async def repeat(engine: Engine, run_id: str, *, by: str, channel: str | None, team_id: str | None) -> str:
    """Queue a run like this one, of the audience as it is now where it came from. Returns its id."""
    run, mapping = await require_run_with_mapping(engine, run_id)
    if run.undo_of is not None:
        raise ConflictError("A run that took back another one can't be repeated. Start a sync instead.")
    request = run.request.model_copy(update={"approved": False, "allow_empty": False})
    return await start(engine, mapping, request, by=by, channel=channel or run.channel, team_id=team_id, repeats=run_id)


async def retry(engine: Engine, run_id: str, *, by: str, team_id: str | None) -> None:
    """Queue a run that failed or was interrupted, to continue where it stopped.

    Raises NotFoundError if there is no such run, and ConflictError if it did not fail or was retried already.
    """
    async with engine.database.write() as db:
        run = await require(db, run_id)
        if run.status not in RETRYABLE:
            status = run.status.value.replace("_", " ")
            if run.attempt and run.status is not RunStatus.CANCELLED:  # it failed, and continued since
                raise ConflictError(f"Someone has retried run {run_id} already ({status}).", run_id=run_id)
            raise ConflictError(f"Run {run_id} did not fail ({status}), so it can't be retried.", run_id=run_id)
        await check_may_run(db, run.mapping_id)
        await check_queue(db, run.connection_id)
        if await reopen(db, run, None, by=by, team_id=team_id) is None:
            raise ConflictError(f"Someone has retried run {run_id} already.", run_id=run_id)
    engine.queued.set()


async def reopen(db: AsyncConnection, run: Run, worker: str | None, *, by: str, team_id: str | None) -> int | None:
    """Continue a run that stopped, as this worker's (None: any worker's). A refused API key is tried again.

    Returns the number of the new attempt, or None if another process continued it first.
    """
    attempt = await runs.reopen(db, run, worker)
    if attempt is not None:
        await connections.change(db, run.connection_id, key_rejected_at=None)
        if run.status in RETRYABLE:
            subject = f"run:{run.id}"
            await audit_log.add(db, team_id=team_id, actor=by, action=AuditAction.RUN_RETRIED, subject=subject)
    return attempt


async def retry_rejected(engine: Engine, run_id: str, *, by: str, channel: str | None, team_id: str | None) -> str:
    """Queue a run that tries the members again that this one could not sync. Returns its id."""
    run, mapping = await require_run_with_mapping(engine, run_id)
    async with engine.database.read() as db:
        found = await rejections.by_reason(db, run_id)
    if not found:
        raise NotFoundError(f"Run {run_id} rejected no member, or its rejections were deleted after 30 days.")
    request = RunRequest(path=f"{REJECTED_SCHEME}:{run_id}", audience=run.request.audience, mode=SyncMode.ADD)
    return await start(engine, mapping, request, by=by, channel=channel or run.channel, team_id=team_id, repeats=run_id)


async def record_rejections_taken(engine: Engine, run_id: str, members: int, *, by: str, team_id: str | None) -> None:
    """Record who got the file with the addresses of the members that a run rejected, before it is written."""
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
        run = await runs.lock(db, run_id)  # so that no worker claims it meanwhile
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
        if not is_requested:  # the request of a run whose worker died since is on record
            before = {"status": run.status.value}
            subject = f"run:{run_id}"
            await audit_log.add(
                db, team_id=team_id, actor=by, action=AuditAction.RUN_CANCELLED, subject=subject, before=before
            )
    return not has_worker
