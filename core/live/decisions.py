"""Decisions of people about live mappings. Each writes an audit entry."""

import math
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.live.bulk_removal import BEGINNING, PIECE
from core.store import audit_log, clock, inbox, live_mappings, mappings
from core.store.audit_log import AuditAction
from core.store.mappings import MappingStatus, RemovalPolicy


async def approve(
    engine: Engine, mapping_id: int, *, list_id: int, by: str, team_id: str | None = None, comment: str | None = None
) -> bool:
    """Approve a proposed live mapping to a list. Its pending changes are delivered from now on.

    Returns False if it was decided already. The caller has checked the list (`core.connections.lists.check_list`).
    """
    async with engine.database.write() as db:
        if not await mappings.decide(db, mapping_id, MappingStatus.ACTIVE, by=by, comment=comment):
            return False
        await mappings.change(db, mapping_id, list_id=list_id, disconnected_at=None)
        await _audit(
            db, mapping_id, AuditAction.MAPPING_APPROVED, by, team_id, {"list_id": list_id, "comment": comment}
        )
    engine.live_work.set()
    return True


async def decide_offer(engine: Engine, mapping_id: int, *, accepts: bool, by: str, team_id: str | None = None) -> bool:
    """Accept mParticle as the source of a mapping that files feed, or decline and drop its pending changes.

    Returns False if it was decided already.
    """
    async with engine.database.write() as db:
        if not await mappings.decide_offer(db, mapping_id, accepts=accepts):
            return False
        action = AuditAction.MAPPING_APPROVED if accepts else AuditAction.MAPPING_DECLINED
        dropped = {} if accepts else {"dropped": await inbox.drop_waiting(db, mapping_id)}
        await _audit(db, mapping_id, action, by, team_id, {"live": True, **dropped})
    engine.live_work.set()
    return True


async def drop_waiting(engine: Engine, mapping_id: int, *, by: str, team_id: str | None = None) -> int | None:
    """Drop the changes of a mapping that are pending now, except those that a run has claimed. Returns how many.

    Returns None and drops nothing if the mapping is active, because its changes are being delivered. If the mapping is
    approved during the call, the changes that are not dropped yet are delivered.
    """
    until = math.inf
    dropped = 0
    while True:
        async with engine.database.write() as db:
            mapping = await live_mappings.lock(db, mapping_id)
            is_active = mapping is None or mapping.status is MappingStatus.ACTIVE
            if is_active and not dropped:
                return None
            if not dropped:
                until = await clock.now(db)  # changes that arrive later are kept
                await inbox.backdate(db, mapping_id, until)
            dropped_now = 0 if is_active else await inbox.drop_waiting(db, mapping_id, PIECE, until=until)
            dropped += dropped_now
            if not dropped_now:
                await _audit(db, mapping_id, AuditAction.MAPPING_CHANGED, by, team_id, {"dropped": dropped})
                return dropped


async def approve_removals(engine: Engine, mapping_id: int, *, by: str, team_id: str | None = None) -> int:
    """Approve the removals of a mapping that are pending now. Returns how many."""
    async with engine.database.write() as db:
        mapping = await live_mappings.lock(db, mapping_id)
        if mapping is None:
            return 0
        now = await clock.now(db)
        await inbox.backdate(db, mapping_id, now)
        removal_count = await inbox.removals_that_wait(db, mapping_id, mapping.removals_approved_until)
        await mappings.change(db, mapping_id, removals_approved_until=now)
        await _audit(db, mapping_id, AuditAction.MAPPING_CHANGED, by, team_id, {"removals_approved": removal_count})
    engine.live_work.set()
    return removal_count


async def keep_members(engine: Engine, mapping_id: int, *, by: str, team_id: str | None = None) -> bool:
    """Leave the members of a disconnected audience on the list. Returns False if that was decided already."""
    async with engine.database.write() as db:
        mapping = await live_mappings.lock(db, mapping_id)
        if mapping is None or mapping.disconnected_at is None or mapping.status is MappingStatus.ACTIVE:
            return False
        await mappings.change(db, mapping_id, disconnected_at=None, bulk_removal_cursor=None)
        await _audit(db, mapping_id, AuditAction.MAPPING_CHANGED, by, team_id, {"members": "kept"})
    return True


async def remove_members(engine: Engine, mapping_id: int, *, by: str, team_id: str | None = None) -> bool:
    """Remove the members of a disconnected audience from the list. Returns False if that was decided already.

    A worker drops the pending changes and removes the members (core/live/bulk_removal.py). Then it pauses the mapping.
    """
    async with engine.database.write() as db:
        mapping = await live_mappings.lock(db, mapping_id)
        if mapping is None or mapping.disconnected_at is None or mapping.status is MappingStatus.ACTIVE:
            return False
        removals = RemovalPolicy.REMOVE  # the approval of the bulk removal overrides the policy
        await mappings.change(
            db, mapping_id, status=MappingStatus.ACTIVE, removal_policy=removals, bulk_removal_cursor=BEGINNING
        )
        await _audit(db, mapping_id, AuditAction.MAPPING_CHANGED, by, team_id, {"members": "removed"})
    engine.live_work.set()
    return True


async def _audit(
    db: AsyncConnection, mapping_id: int, action: AuditAction, by: str, team_id: str | None, after: dict[str, Any]
) -> None:
    await audit_log.add(db, team_id=team_id, actor=by, action=action, subject=f"mapping:{mapping_id}", after=after)
