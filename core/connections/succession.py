"""The succession of mappings: one that goes to another list takes the place of the former one (list_change.py)."""

from sqlalchemy.ext.asyncio import AsyncConnection

from core.connections.mapping_end import archive_in
from core.models.run import StopReason
from core.store import file_sources, mappings, runs, schedules
from core.store.mappings import MappingStatus


async def settle(db: AsyncConnection, mapping_id: int, decided: MappingStatus, *, by: str, team_id: str | None) -> None:
    """Do what the decision about a mapping means for the one that it replaces, if any, in the caller's transaction."""
    if decided is MappingStatus.ACTIVE:
        await take_place(db, mapping_id, by=by, team_id=team_id)
    else:
        await mappings.end_replacement(db, mapping_id)


async def take_place(db: AsyncConnection, mapping_id: int, *, by: str, team_id: str | None) -> None:
    """Let an approved mapping take the place of the one that it replaces, if any, in the caller's transaction.

    A run that takes everyone off the former list continues, and archives the former mapping at its end.
    """
    successor = await mappings.by_id(db, mapping_id)
    if successor is None or successor.replaces is None:
        return
    former = await mappings.by_id(db, successor.replaces)
    await mappings.end_replacement(db, mapping_id)
    if former is None:
        return
    await file_sources.move(db, former.id, mapping_id)
    await schedules.move(db, former.id, mapping_id)
    unfinished = await runs.unfinished(db, mapping_id=former.id)
    if former.status is MappingStatus.ARCHIVED or any(run.request.empties for run in unfinished):
        return
    for run in unfinished:
        if run.worker_id is not None:
            await runs.request_stop(db, run.id, StopReason.CANCEL)
    await archive_in(db, former.id, by=by, team_id=team_id, is_stopped=True)
