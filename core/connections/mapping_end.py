"""The end of a mapping: archived, restored, or deleted. The list in Iterable does not change."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting
from core.engine import Engine
from core.errors import ConflictError, NotFoundError
from core.models.run import RunStatus
from core.store import audit_log, clock, inbox, ledger, mappings, runs, schedules
from core.store.audit_log import PROGRAM, AuditAction
from core.store.managed import check_by_hand
from core.store.mappings import AudienceMapping, LiveOffer, MappingStatus


@dataclass(frozen=True, slots=True)
class DeletionSummary:
    """What is deleted with a mapping: the record of `members` people, and the schedules with these names."""

    mapping: AudienceMapping
    members: int
    schedules: tuple[str, ...]


async def summarize(engine: Engine, mapping_id: int) -> DeletionSummary:
    """Return what is deleted with a mapping. Raises NotFoundError if there is no such mapping."""
    async with engine.database.read() as db:
        mapping = await _require(db, mapping_id)
        names = [schedule.name for schedule in await schedules.of_mapping(db, mapping_id)]
        return DeletionSummary(mapping, await ledger.size(db, mapping_id), tuple(names))


async def archive(engine: Engine, mapping_id: int, *, by: str, team_id: str | None) -> None:
    """Archive a mapping: nothing is synced, its ledger and its list stay. What waits for it is cancelled or dropped.

    Raises NotFoundError if there is no such mapping, and ConflictError if it is archived already or a run is at work.
    """
    await engine.presence.reap_dead_workers()
    async with engine.database.write() as db:
        mapping = await _require(db, mapping_id)
        check_by_hand(mapping.label, mapping.managed, by)
        await archive_in(db, mapping_id, by=by, team_id=team_id)


async def archive_in(
    db: AsyncConnection,
    mapping_id: int,
    *,
    by: str,
    team_id: str | None,
    delete_at: float | None = None,
    is_stopped: bool = False,
) -> None:
    """Archive a mapping in the caller's transaction. `delete_at` is when it is deleted (UTC seconds; None: never).

    `is_stopped`: the caller has requested the stop of runs that are under way.
    """
    mapping = await _require(db, mapping_id)
    if mapping.status is MappingStatus.ARCHIVED:
        raise ConflictError(f"{mapping.label} is archived already.", mapping_id=mapping_id)
    await _cancel_waiting(db, mapping, is_stopped=is_stopped)
    dropped = await inbox.drop_waiting(db, mapping_id)
    offer = LiveOffer.DECLINED if mapping.live_offer is LiveOffer.PROPOSED else mapping.live_offer
    await mappings.change(
        db,
        mapping_id,
        status=MappingStatus.ARCHIVED,
        delete_at=delete_at,
        disconnected_at=None,
        bulk_removal_cursor=None,
        live_offer=offer,
    )
    await alerting.resolve_all(db, mapping.connection_id, mapping_id)
    after = {"state": MappingStatus.ARCHIVED.value} | ({"dropped": dropped} if dropped else {})
    await _audit(db, mapping, AuditAction.MAPPING_ARCHIVED, by, team_id, after=after)


async def restore(engine: Engine, mapping_id: int, *, by: str, team_id: str | None) -> None:
    """Restore an archived mapping. It is proposed again, because its audience may have changed since.

    Raises NotFoundError if there is no such mapping, and ConflictError if it is not archived.
    """
    async with engine.database.write() as db:
        mapping = await _require(db, mapping_id)
        if mapping.status is not MappingStatus.ARCHIVED:
            raise ConflictError(f"{mapping.label} is {mapping.status}, not archived.", mapping_id=mapping_id)
        check_by_hand(mapping.label, mapping.managed, by)
        await mappings.change(
            db,
            mapping_id,
            status=MappingStatus.PROPOSED,
            delete_at=None,
            proposed_by=by,
            decided_by=None,
            decided_at=None,
            comment=None,
        )
        after = {"state": MappingStatus.PROPOSED.value}
        await _audit(db, mapping, AuditAction.MAPPING_RESTORED, by, team_id, after=after)
    engine.live_work.set()


async def forget(engine: Engine, mapping_id: int, *, by: str, team_id: str | None) -> DeletionSummary:
    """Delete a mapping with its runs, its schedules and its ledger, and return what that was. The list stays as it is.

    Raises NotFoundError if there is no such mapping, and ConflictError if a run is at work.
    """
    await engine.presence.reap_dead_workers()
    async with engine.database.write() as db:
        mapping = await _require(db, mapping_id)
        check_by_hand(mapping.label, mapping.managed, by)
        await _cancel_waiting(db, mapping, is_stopped=False)
        names = [schedule.name for schedule in await schedules.of_mapping(db, mapping_id)]
        summary = DeletionSummary(mapping, await ledger.size(db, mapping_id), tuple(names))
        await _remove(db, mapping, by=by, team_id=team_id, members=summary.members)
    return summary


async def delete_due(engine: Engine) -> None:
    """Delete the archived mappings whose time has come."""
    async with engine.database.read() as db:
        due = await mappings.to_delete(db, await clock.now(db))
    for mapping in due:
        async with engine.database.write() as db:
            current = await mappings.by_id(db, mapping.id)
            if current is not None and current.delete_at is not None:
                await _remove(db, current, by=PROGRAM, team_id=None, members=0)


async def _remove(db: AsyncConnection, mapping: AudienceMapping, *, by: str, team_id: str | None, members: int) -> None:
    await mappings.remove(db, mapping.id)
    before = {"audience": mapping.audience_name or mapping.audience_id, "list": mapping.list_id, "members": members}
    await _audit(db, mapping, AuditAction.MAPPING_REMOVED, by, team_id, before=before)


async def _require(db: AsyncConnection, mapping_id: int) -> AudienceMapping:
    mapping = await mappings.by_id(db, mapping_id)
    if mapping is None:
        raise NotFoundError(f"There is no mapping {mapping_id}. Check its id.", mapping_id=mapping_id)
    return mapping


async def _cancel_waiting(db: AsyncConnection, mapping: AudienceMapping, *, is_stopped: bool) -> None:
    """Cancel the runs that wait for a person or a worker. Raises ConflictError if a process executes one."""
    for known in await runs.unfinished(db, mapping_id=mapping.id):
        run = await runs.lock(db, known.id)
        if run is None or not run.status.is_resumable:
            continue
        if run.status.is_active and run.worker_id is not None:
            if is_stopped:
                continue
            raise ConflictError(
                f"Run {run.id} of {mapping.label} is under way. Wait for its end, or cancel it first.",
                run_id=run.id,
                mapping_id=mapping.id,
            )
        await runs.set_status(db, run.id, RunStatus.CANCELLED, error=f"{mapping.label} was archived or deleted.")


async def _audit(
    db: AsyncConnection,
    mapping: AudienceMapping,
    action: AuditAction,
    by: str,
    team_id: str | None,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    subject = f"mapping:{mapping.id}"
    before = {"state": mapping.status.value} if before is None else before
    await audit_log.add(db, team_id=team_id, actor=by, action=action, subject=subject, before=before, after=after)
