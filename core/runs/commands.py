"""What people do to runs: start, cancel, retry, repeat. Each is recorded in the audit table with who did it.

Nothing here takes long: a run is queued, and whoever works takes it up.
"""

import time

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import InputError
from core.models.run import Run, RunRequest, RunStatus, SyncMode
from core.runs.lookup import load_run
from core.runs.rejected_members import REJECTED_SCHEME
from core.runs.submission import enqueue
from core.store import audit_log, connections, live_mappings, rejections, runs
from core.store.audit_log import AuditAction
from core.store.mappings import AudienceMapping

# A second click on the same button comes within so many seconds, and finds what it began among so many runs.
TWICE_S = 10.0
LOOKED_AT = 20


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
    async with engine.database.write() as db:
        connection = await connections.by_id(db, mapping.connection_id)
        assert connection is not None
        if repeats is not None:
            await _refuse_twice(db, mapping, request, repeats)
        run_id = await enqueue(db, connection, mapping, request, started_by=by, channel=channel)
        after = {"mapping": mapping.id, "mode": request.mode}
        subject = f"run:{run_id}"
        await audit_log.add(db, team_id=team_id, actor=by, action=AuditAction.RUN_STARTED, subject=subject, after=after)
    engine.queued.set()
    return run_id


async def _refuse_twice(db: AsyncConnection, mapping: AudienceMapping, request: RunRequest, repeats: str) -> None:
    await live_mappings.lock(db, mapping.id)
    for run in await runs.latest_of(db, [mapping.id], LOOKED_AT):
        if run.request.path != request.path or run.undo_of is not None:
            continue
        is_under_way = run.status.is_active or run.status is RunStatus.NEEDS_APPROVAL
        if is_under_way or (run.id != repeats and 0.0 <= time.time() - run.created_at < TWICE_S):
            raise InputError(f"Somebody has started this already: it is run {run.id}.")


async def repeat(engine: Engine, run_id: str, *, by: str, channel: str | None, team_id: str | None) -> str:
    """Queue a run like this one, of the audience as it is now where it came from. Returns its id."""
    run, mapping = await load_run(engine, run_id)
    if run.undo_of is not None:
        raise InputError("A run that took back another one can't be repeated. Start a sync instead.")
    request = run.request.model_copy(update={"approved": False, "allow_empty": False})
    return await start(engine, mapping, request, by=by, channel=channel or run.channel, team_id=team_id, repeats=run_id)


async def retry(engine: Engine, run_id: str, *, by: str, team_id: str | None) -> None:
    """Let a run that failed or was interrupted go on where it stopped. Raises InputError where it can't."""
    run, _ = await load_run(engine, run_id)
    if run.status not in (RunStatus.FAILED, RunStatus.INTERRUPTED):
        now = run.status.value.replace("_", " ")
        if run.attempt and run.status is not RunStatus.CANCELLED:  # what failed went on since
            raise InputError(f"Somebody has retried run {run_id} already ({now}).")
        raise InputError(f"Run {run_id} did not fail ({now}), so it can't be retried.")
    async with engine.database.write() as db:
        if await runs.reopen(db, run, None) is None:
            raise InputError(f"Somebody has retried run {run_id} already.")
        await connections.change(db, run.connection_id, key_rejected_at=None)  # the key is to be tried again
    await _record(engine, AuditAction.RUN_RETRIED, run_id, by, team_id, None)
    engine.queued.set()


async def retry_rejected(engine: Engine, run_id: str, *, by: str, channel: str | None, team_id: str | None) -> str:
    """Queue a run that tries the members again that this one could not sync. Returns its id."""
    run, mapping = await load_run(engine, run_id)
    async with engine.database.read() as db:
        found = await rejections.by_reason(db, run_id)
    if not found:
        raise InputError(f"Run {run_id} rejected nobody, or it is too long ago to know whom.")
    request = RunRequest(path=f"{REJECTED_SCHEME}:{run_id}", audience=run.request.audience, mode=SyncMode.ADD)
    return await start(engine, mapping, request, by=by, channel=channel or run.channel, team_id=team_id, repeats=run_id)


async def cancel(engine: Engine, run_id: str, *, by: str, team_id: str | None) -> bool:
    """Cancel a run. Returns True where it is cancelled, False where it will be, after what is under way.

    Raises InputError where it has ended.
    """
    async with engine.database.write() as db:
        run = await runs.lock(db, run_id)  # nobody can take it up meanwhile
        if run is None or not run.status.is_resumable:
            raise InputError(f"Run {run_id} has ended; there is nothing to cancel.")
        if run.stop_requested == "cancel":
            raise InputError(f"Run {run_id} is being cancelled already: it stops after the requests under way.")
        in_hand = run.status.is_active and run.worker_id is not None
        if in_hand:
            await runs.request_stop(db, run_id, "cancel")
        else:
            await runs.set_status(db, run_id, RunStatus.CANCELLED)
        await audit_log.add(
            db, team_id=team_id, actor=by, action=AuditAction.RUN_CANCELLED, subject=f"run:{run_id}", before=_state(run)
        )
    return not in_hand


async def _record(
    engine: Engine, action: AuditAction, run_id: str, by: str, team_id: str | None, after: dict[str, object] | None
) -> None:
    async with engine.database.write() as db:
        await audit_log.add(db, team_id=team_id, actor=by, action=action, subject=f"run:{run_id}", after=after)


def _state(run: Run) -> dict[str, object]:
    return {"status": run.status.value}
