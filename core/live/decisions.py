"""What people decide about live mappings. Each decision is on record with who made it."""

import time
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.live.bulk_removal import BEGINNING, PIECE
from core.store import audit_log, inbox, live_mappings, mappings
from core.store.audit_log import AuditAction
from core.store.mappings import MappingStatus, RemovalPolicy


async def approve(
    engine: Engine, mapping_id: int, *, list_id: int, by: str, team_id: str | None = None, comment: str | None = None
) -> bool:
    """Approve a live mapping that is proposed, to that list: what waits for it is uploaded from now on.

    Returns False where somebody has decided already. Whoever calls has checked the list
    (`core.runs.submission.check_list`).
    """
    async with engine.database.write() as db:
        if not await mappings.decide(db, mapping_id, MappingStatus.ACTIVE, by=by, comment=comment):
            return False
        await mappings.change(db, mapping_id, list_id=list_id, disconnected_at=None)
        await _note(db, mapping_id, AuditAction.MAPPING_APPROVED, by, team_id, {"list_id": list_id, "comment": comment})
    return True


async def decide_offer(engine: Engine, mapping_id: int, *, accepts: bool, by: str, team_id: str | None = None) -> bool:
    """Let mParticle feed a mapping that files have fed, or decline that and drop what came for it.

    Returns False if it was decided already.
    """
    async with engine.database.write() as db:
        if not await mappings.decide_offer(db, mapping_id, accepts=accepts):
            return False
        action = AuditAction.MAPPING_APPROVED if accepts else AuditAction.MAPPING_DECLINED
        dropped = {} if accepts else {"dropped": await inbox.drop_waiting(db, mapping_id)}
        await _note(db, mapping_id, action, by, team_id, {"live": True, **dropped})
    return True


async def drop_waiting(engine: Engine, mapping_id: int, *, by: str, team_id: str | None = None) -> int | None:
    """Drop the changes that wait for a mapping now and that no run carries. Returns how many.

    Returns None, and drops nothing, where the mapping is active: then they are on their way to the list. Where somebody
    approves it meanwhile, what has not been dropped by then goes out.
    """
    until = time.time()  # what comes later was not meant
    dropped = 0
    while True:
        async with engine.database.write() as db:
            mapping = await live_mappings.lock(db, mapping_id)
            is_active = mapping is None or mapping.status is MappingStatus.ACTIVE
            if is_active and not dropped:
                return None
            if not dropped:
                await inbox.backdate(db, mapping_id, until)
            some = 0 if is_active else await inbox.drop_waiting(db, mapping_id, PIECE, until=until)
            dropped += some
            if not some:
                await _note(db, mapping_id, AuditAction.MAPPING_CHANGED, by, team_id, {"dropped": dropped})
                return dropped


async def approve_removals(engine: Engine, mapping_id: int, *, by: str, team_id: str | None = None) -> int:
    """Where removals ask: let those go out that wait now. Returns how many."""
    async with engine.database.write() as db:
        mapping = await live_mappings.lock(db, mapping_id)
        if mapping is None:
            return 0
        now = time.time()
        await inbox.backdate(db, mapping_id, now)
        found = await inbox.removals_that_wait(db, mapping_id, mapping.approved_until)
        await mappings.change(db, mapping_id, removals_approved_until=now)
        await _note(db, mapping_id, AuditAction.MAPPING_CHANGED, by, team_id, {"removals_approved": found})
    return found


async def keep_members(engine: Engine, mapping_id: int, *, by: str, team_id: str | None = None) -> bool:
    """An audience was disconnected: leave its members on the list. Returns False where that was decided already."""
    async with engine.database.write() as db:
        mapping = await live_mappings.lock(db, mapping_id)
        if mapping is None or mapping.disconnected_at is None or mapping.status is MappingStatus.ACTIVE:
            return False
        await mappings.change(db, mapping_id, disconnected_at=None, bulk_removal_cursor=None)
        await _note(db, mapping_id, AuditAction.MAPPING_CHANGED, by, team_id, {"members": "kept"})
    return True


async def remove_members(engine: Engine, mapping_id: int, *, by: str, team_id: str | None = None) -> bool:
    """An audience was disconnected: take its members off the list. Returns False where that was decided already.

    What still waits is dropped. However many they are, a worker does that (core/live/bulk_removal.py). The mapping is
    paused again when all are off.
    """
    async with engine.database.write() as db:
        mapping = await live_mappings.lock(db, mapping_id)
        if mapping is None or mapping.disconnected_at is None or mapping.status is MappingStatus.ACTIVE:
            return False
        removals = RemovalPolicy.REMOVE  # for once, whatever was to be done with single ones
        await mappings.change(
            db, mapping_id, status=MappingStatus.ACTIVE, removal_policy=removals, bulk_removal_cursor=BEGINNING
        )
        await _note(db, mapping_id, AuditAction.MAPPING_CHANGED, by, team_id, {"members": "removed"})
    return True


async def _note(
    db: AsyncConnection, mapping_id: int, action: AuditAction, by: str, team_id: str | None, after: dict[str, Any]
) -> None:
    await audit_log.add(db, team_id=team_id, actor=by, action=action, subject=f"mapping:{mapping_id}", after=after)
