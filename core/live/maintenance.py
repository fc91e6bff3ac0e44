"""Maintenance of live mappings: backlog alerts, erasures, pausing emptied mappings, deleting expired rows."""

import logging
from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting
from core.connections import offboarding
from core.engine import Engine
from core.live.micro_batch import can_deliver, delivery_filter
from core.live.silence import watch_silence
from core.privacy import erasure
from core.store import (
    alert_rules,
    alerts,
    clock,
    doubts,
    freezes,
    inbox,
    live_mappings,
    live_work,
    mappings,
    processed_messages,
)
from core.store.alert_kinds import AlertKind
from core.store.alert_rules import Rule
from core.store.mappings import AudienceMapping, MappingStatus

logger = logging.getLogger(__name__)

# How long message ids and the time stamps of changes are kept, in seconds: far longer than mParticle retries.
REMEMBER_S = 7 * 24 * 3600.0
# Dead processes are not looked for twice within so many seconds: the worker of file runs does the same.
RECENTLY_S = 6.0
# Rows deleted in one transaction, and transactions in one pass.
CLEAR_ROWS, CLEAR_PIECES = 2_000, 10


async def run_maintenance(engine: Engine) -> None:
    """Run one maintenance pass."""
    await watch(engine)
    await offboarding.erase_uninstalled(engine)
    await watch_silence(engine, await engine.time())
    await _repair_after_doubts(engine)


async def watch(engine: Engine) -> None:
    """Do what can't wait: release what dead processes hold, continue erasures, watch the backlogs, pause emptied
    mappings, and delete expired rows.
    """
    if await engine.presence.reap_dead_workers(unless_within_s=RECENTLY_S):
        engine.live_work.set()
    await erasure.carry_out_all(engine)
    async with engine.database.read() as db:
        live = await live_work.upkeep(db, REMEMBER_S)
        waits = any(upkeep.oldest is not None for upkeep in live)
        least = await alert_rules.least_threshold(db, Rule.BACKLOG) if waits else None
        has_old_ids = await processed_messages.any_older(db, REMEMBER_S)
    limit = engine.settings.firehose_backlog_alert_s
    limit = limit if least is None else min(limit, least * 60)
    if any(upkeep.is_approved_ahead for upkeep in live):
        async with engine.database.write() as db:
            await mappings.drop_approvals_ahead(db)
    for upkeep in live:
        # the rules of a mapping are read only if its changes wait for longer than the strictest rule allows
        may_be_late = upkeep.oldest is not None and upkeep.now - upkeep.oldest > limit
        if can_deliver(upkeep.mapping) and (may_be_late or upkeep.has_backlog_alert):
            await _watch(engine, upkeep.mapping)
        if upkeep.mapping.status is MappingStatus.ACTIVE and upkeep.mapping.disconnected_at is not None:
            await _pause_if_emptied(engine, upkeep.mapping)
    expired = {upkeep.mapping.id: upkeep.now - REMEMBER_S for upkeep in live if upkeep.has_old}
    await _clear(engine, expired, has_old_ids=has_old_ids)


async def _repair_after_doubts(engine: Engine) -> None:
    """Deliver once more what a process that was declared dead may have undone when it woke up."""
    async with engine.database.read() as db:
        mapping_ids = await doubts.over_of_live(db)
    for mapping_id in mapping_ids:
        async with engine.database.write() as db:
            await doubts.deliver_again(db, mapping_id)
    if mapping_ids:
        engine.live_work.set()


async def _watch(engine: Engine, mapping: AudienceMapping) -> None:
    """Open an alert if changes have been pending for too long, and close it when the backlog is gone."""
    async with engine.database.read() as db:
        rule = (await alert_rules.settings(db, mapping.connection_id, mapping.id)).get(Rule.BACKLOG)
        freeze = await freezes.of_mapping(db, mapping.id)
        now = await clock.now(db)
        allowed = delivery_filter(mapping, now, 0.0, None if freeze is None else freeze.holds)
        oldest = await inbox.oldest(db, mapping.id, allowed)
        known = await alerts.open_of(db, mapping.connection_id, mapping.id, AlertKind.BACKLOG)
        is_failing = await alerts.is_failing(db, mapping.connection_id, mapping.id)
    limit = engine.settings.firehose_backlog_alert_s if rule.threshold is None else rule.threshold * 60
    is_late = rule.is_on and oldest is not None and now - oldest > limit
    if is_late and known is None and not is_failing:  # a failure explains that they wait
        async with engine.database.write() as db:
            await alerting.open_or_repeat(
                db,
                connection_id=mapping.connection_id,
                mapping_id=mapping.id,
                run_id=None,
                code=AlertKind.BACKLOG.value,
                message=await _backlog_message(db, mapping, now - (oldest or now)),
            )
    elif not is_late and known is not None:
        async with engine.database.write() as db:
            await alerting.resolve(db, mapping.connection_id, mapping.id, AlertKind.BACKLOG)


async def _backlog_message(db: AsyncConnection, mapping: AudienceMapping, age: float) -> str:
    size = (await inbox.backlog(db, mapping.id)).size
    changes = "1 change" if size == 1 else f"{size:,} changes"
    return (
        f"{changes} of audience {mapping.label} wait to be uploaded to list {mapping.list_id}, the first for "
        f"{age / 60:.0f} minutes. They arrive faster than Iterable accepts them, or another integration uses the "
        "project's rate. Nothing is lost. If Iterable permits more requests, raise the rate of the connection."
    )


async def _pause_if_emptied(engine: Engine, mapping: AudienceMapping) -> None:
    """Pause a disconnected mapping once its bulk removal has been delivered."""
    async with engine.database.write() as db:
        current = await live_mappings.lock(db, mapping.id)
        if current is None or current.bulk_removal_cursor is not None or current.disconnected_at is None:
            return
        waiting = await inbox.oldest(db, mapping.id)
        if waiting is None and not await live_mappings.unended(db, mapping.id):
            await mappings.change(db, mapping.id, status=MappingStatus.PAUSED, disconnected_at=None)


async def _clear(engine: Engine, expired: Mapping[int, float], *, has_old_ids: bool) -> None:
    """Delete expired rows. `expired` is the time before which changes have expired, by mapping (UTC seconds)."""
    for _ in range(CLEAR_PIECES if has_old_ids else 0):
        async with engine.database.write() as db:
            if await processed_messages.clear_older(db, REMEMBER_S, CLEAR_ROWS) < CLEAR_ROWS:
                break
    for mapping_id, before in expired.items():
        for _ in range(CLEAR_PIECES):
            async with engine.database.write() as db:
                if await inbox.clear_old(db, mapping_id, int(before * 1000), CLEAR_ROWS) < CLEAR_ROWS:
                    break
