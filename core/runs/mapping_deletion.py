"""Deleting a mapping after everyone was taken off its list: a run does that, under guards and after approval.

When it has succeeded, the mapping is archived, and deleted after KEPT_S: until then an undo can put the people
back.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from core.connections.list_change import propose_list
from core.connections.mapping_end import archive_in
from core.connections.mapping_lifecycle import NewList
from core.engine import Engine
from core.errors import ConflictError, NotFoundError
from core.iterable import IterableList
from core.models.run import Run, RunRequest, StopReason, SyncMode
from core.runs.submission import enqueue
from core.store import audit_log, clock, connections, ledger, mappings, runs
from core.store.audit_log import COMMAND_LINE, AuditAction
from core.store.managed import check_by_hand
from core.store.mappings import AudienceMapping, MappingStatus

#: How long an archived mapping without people is kept, in seconds.
KEPT_S = 30 * 24 * 3600.0


async def request_emptying(
    engine: Engine,
    mapping_id: int,
    *,
    by: str,
    channel: str | None,
    team_id: str | None,
    approved: bool = False,
    worker_id: str | None = None,
) -> str:
    """Queue the run that takes everyone off a mapping's list, and return its id: that of an unfinished one, if any.

    `approved`: a person has approved it in advance. `worker_id` is the process that will execute it (None: any).
    Raises NotFoundError if there is no such mapping, and ConflictError if no one is on the list because of it.
    """
    async with engine.database.write() as db:
        mapping = await mappings.by_id(db, mapping_id)
        if mapping is None:
            raise NotFoundError(f"There is no mapping {mapping_id}. Check its id.", mapping_id=mapping_id)
        check_by_hand(mapping.label, mapping.managed, by)
        for run in await runs.unfinished(db, mapping_id=mapping_id):
            if run.request.empties:
                return run.id
        if not await ledger.size(db, mapping_id):
            raise ConflictError(
                f"No one is on list {mapping.list_id} because of {mapping.label}. Delete it and leave the list as it "
                "is.",
                mapping_id=mapping_id,
            )
        connection = await connections.by_id(db, mapping.connection_id)
        assert connection is not None
        request = RunRequest(path="", mode=SyncMode.DELTA, empties=True, approved=approved, team_id=team_id)
        started_by = None if by == COMMAND_LINE else by
        run_id = await enqueue(
            db, connection, mapping, request, started_by=started_by, channel=channel, worker_id=worker_id
        )
        await audit_log.add(
            db,
            team_id=team_id,
            actor=by,
            action=AuditAction.MAPPING_DELETION_ASKED,
            subject=f"mapping:{mapping_id}",
            after={"members": "removed", "run": run_id},
        )
    engine.queued.set()
    return run_id


async def change_list(
    engine: Engine,
    mapping_id: int,
    target: IterableList | NewList,
    *,
    empties: bool,
    by: str,
    channel: str | None,
    team_id: str | None,
    approved: bool = False,
) -> tuple[AudienceMapping, str | None]:
    """Propose another list for a mapping. Returns the mapping that takes its place, and the run that empties the list.

    `empties`: take everyone off the former list, by a run that needs approval (None if no one is on it). Otherwise they
    stay there. Raises as `propose_list` does.
    """
    successor = await propose_list(engine, mapping_id, target, by=by, team_id=team_id, approved=approved)
    async with engine.database.read() as db:
        members = await ledger.size(db, mapping_id)
    if not (empties and members):
        return successor, None
    run_id = await request_emptying(engine, mapping_id, by=by, channel=channel, team_id=team_id, approved=approved)
    return successor, run_id


async def finish_emptying(db: AsyncConnection, run: Run) -> None:
    """Archive the mapping of a run that has succeeded, unless someone is still on the list because of it.

    `run` is the run before its status was set.
    """
    mapping = await mappings.by_id(db, run.mapping_id)
    if mapping is None or await ledger.size(db, mapping.id):
        return
    delete_at = await clock.now(db) + KEPT_S
    if mapping.status is MappingStatus.ARCHIVED:
        await mappings.change(db, mapping.id, delete_at=delete_at)
        return
    for other in await runs.unfinished(db, mapping_id=mapping.id):
        if other.id != run.id and other.worker_id is not None:
            await runs.request_stop(db, other.id, StopReason.CANCEL)
    await archive_in(
        db,
        mapping.id,
        by=run.asked_by or COMMAND_LINE,
        team_id=run.request.team_id,
        delete_at=delete_at,
        is_stopped=True,
    )
