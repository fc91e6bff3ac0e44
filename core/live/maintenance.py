"""Tending to live mappings: alerts about their backlog, erasures, mappings that were emptied, and what is forgotten."""

import logging
import time

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting
from core.connections import offboarding
from core.engine import Engine
from core.live.micro_batch import can_deliver, delivery_filter
from core.privacy import erasure
from core.store import alerts, inbox, live_mappings, mappings, processed_messages
from core.store.mappings import AudienceMapping, MappingStatus

logger = logging.getLogger(__name__)

# How long ids of messages and time stamps of changes are remembered, in seconds: far longer than mParticle tries again.
REMEMBER_S = 7 * 24 * 3600.0
# Rows cleared in one transaction, and how many of those at a time.
CLEAR_ROWS, CLEAR_PIECES = 2_000, 5


async def run_maintenance(engine: Engine) -> None:
    """Do all of it once."""
    await engine.presence.reap_dead_workers()
    await erasure.carry_out_all(engine)
    await offboarding.erase_uninstalled(engine)
    async with engine.database.read() as db:
        found = await live_mappings.everyone(db)
    for mapping in found:
        if can_deliver(mapping):
            await _watch(engine, mapping)
        if mapping.status is MappingStatus.ACTIVE and mapping.disconnected_at is not None:
            await _pause_if_emptied(engine, mapping)
    await _clear(engine, found)


async def _watch(engine: Engine, mapping: AudienceMapping) -> None:
    """Raise an alert where changes wait for too long, and close it when they don't any more."""
    limit, now = engine.settings.firehose_backlog_alert_s, time.time()
    async with engine.database.read() as db:
        oldest = await inbox.oldest(db, mapping.id, delivery_filter(mapping))
        known = await alerts.open_of(db, mapping.connection_id, mapping.id)
    late = oldest is not None and now - oldest > limit
    if late and known is None:
        async with engine.database.write() as db:
            await alerting.open_or_repeat(
                db,
                connection_id=mapping.connection_id,
                mapping_id=mapping.id,
                run_id=None,
                code=alerting.BACKLOG,
                message=await _about(db, mapping, now - (oldest or now)),
            )
    elif not late and known is not None and known.code == alerting.BACKLOG:
        async with engine.database.write() as db:
            await alerting.resolve(db, mapping.connection_id, mapping.id)


async def _about(db: AsyncConnection, mapping: AudienceMapping, age: float) -> str:
    size = (await inbox.backlog(db, mapping.id)).size
    changes = "1 change" if size == 1 else f"{size:,} changes"
    return (
        f"{changes} of audience {mapping.label} wait to be uploaded to list {mapping.list_id}, the first for "
        f"{age / 60:.0f} minutes. They come faster than Iterable takes them, or something else uses the project's "
        "rate. Nothing is lost; where Iterable permits more requests, raise the rate of the connection."
    )


async def _pause_if_emptied(engine: Engine, mapping: AudienceMapping) -> None:
    """Pause a disconnected mapping whose members a person had taken off, when they are off."""
    async with engine.database.write() as db:
        now = await live_mappings.lock(db, mapping.id)
        if now is None or now.bulk_removal_cursor is not None or now.disconnected_at is None:
            return
        waiting = await inbox.oldest(db, mapping.id)
        if waiting is None and not await live_mappings.unended(db, mapping.id):
            await mappings.change(db, mapping.id, status=MappingStatus.PAUSED, disconnected_at=None)


async def _clear(engine: Engine, found: list[AudienceMapping]) -> None:
    before = time.time() - REMEMBER_S
    for _ in range(CLEAR_PIECES):
        async with engine.database.write() as db:
            if await processed_messages.clear_old(db, before, CLEAR_ROWS) < CLEAR_ROWS:
                break
    for mapping in found:
        for _ in range(CLEAR_PIECES):
            async with engine.database.write() as db:
                if await inbox.clear_old(db, mapping.id, int(before * 1000), CLEAR_ROWS) < CLEAR_ROWS:
                    break
