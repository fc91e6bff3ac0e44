"""Whether a freeze holds back changes that a run has left to send."""

from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.batch import Phase
from core.models.run import Run
from core.store import batches, freezes
from core.store.mappings import FreezeHolds

_HELD = {
    FreezeHolds.BOTH: {Phase.REMOVE, Phase.RENAME, Phase.UPDATE, Phase.ADD},
    FreezeHolds.REMOVALS: {Phase.REMOVE},
    FreezeHolds.ADDITIONS: {Phase.ADD},
}


async def is_frozen(db: AsyncConnection, run: Run) -> bool:
    """Return whether a run has changes left that a freeze of its mapping holds back."""
    freeze = await freezes.of_mapping(db, run.mapping_id)
    if freeze is None:
        return False
    return not _HELD[freeze.holds].isdisjoint(left.phase for left in await batches.phases_left(db, run.id))
