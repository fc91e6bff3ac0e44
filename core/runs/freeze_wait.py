"""Runs of frozen mappings: they are planned and approved, and wait before they send."""

from core.connections.campaigns import refresh_campaigns
from core.delivery.freeze_check import is_frozen
from core.engine import Engine
from core.models.run import Run, RunFrozenError
from core.store import connections, freezes, mappings

# Campaigns that were read longer ago, in seconds, are read again before a run sends.
FRESH_S = 60.0


async def raise_if_frozen(engine: Engine, run: Run) -> None:
    """Raise RunFrozenError if a freeze holds back changes that a run has left. Live changes are held back earlier."""
    if run.request.live:
        return
    async with engine.database.read() as db:
        mapping = await mappings.by_id(db, run.mapping_id)
        connection = None
        if mapping is not None and mapping.freeze_before_s is not None:
            connection = await connections.by_id(db, run.connection_id)
        is_held = connection is None and await is_frozen(db, run)
    if connection is not None:
        await refresh_campaigns(engine, connection, max_age_s=FRESH_S)
        async with engine.database.read() as db:
            is_held = await is_frozen(db, run)
    if is_held:
        raise RunFrozenError


async def is_still_frozen(engine: Engine, mapping_id: int) -> bool:
    """Return whether a mapping is frozen."""
    async with engine.database.read() as db:
        return await freezes.of_mapping(db, mapping_id) is not None
