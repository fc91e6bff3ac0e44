"""The size of audiences in mParticle, compared with the people that syncs know of them."""

import logging
from dataclasses import dataclass

from core.connections import mparticle
from core.engine import Engine
from core.errors import SyncError
from core.models.run import RunStatus, SyncMode
from core.store import ledger, runs
from core.store.mappings import AudienceMapping, RemovalPolicy

# The difference that is normal, in people and as a share: whichever is larger. mParticle estimates sizes, counts people
# that can't be synced, and an audience changes after its export.
LIMIT, LIMIT_SHARE = 100, 0.10
# Runs that are searched for the last one of a whole audience.
MOST_SEARCHED = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AudienceSize:
    """How many people mParticle counts in a mapping's audience, and how many of them syncs know.

    `synced` are those in the ledger, and those that the last run of the whole audience rejected. `keeps`: people who
    left the audience stay on the list, so more of them are no difference.
    """

    in_mparticle: int
    synced: int
    keeps: bool = False

    @property
    def differs(self) -> bool:
        """Whether the numbers differ beyond the limit."""
        limit = max(LIMIT, LIMIT_SHARE * max(self.in_mparticle, self.synced))
        return self.in_mparticle - self.synced > limit or (not self.keeps and self.synced - self.in_mparticle > limit)

    @property
    def message(self) -> str:
        """The difference and what to do, in sentences."""
        return (
            f"mParticle counts {self.in_mparticle:,} people in the audience, and {self.synced:,} of it were synced or "
            "rejected. Sync a newer export; if mParticle sends changes, look whether its connection is faulted."
        )


async def audience_size(engine: Engine, mapping: AudienceMapping) -> AudienceSize | None:
    """Return the size of a mapping's audience; None if mParticle can't be asked or does not know it."""
    if mapping.audience_id is None:
        return None
    try:
        in_mparticle = await mparticle.audience_size(
            engine, mapping.connection_id, mapping.audience_id, mapping.audience_name
        )
    except SyncError as error:
        logger.info("could not read the size of audience %s in mParticle: %s", mapping.audience_id, error.code)
        return None
    if in_mparticle is None:
        return None
    async with engine.database.read() as db:
        synced = await ledger.size(db, mapping.id)
        last = await runs.latest_of(db, [mapping.id], MOST_SEARCHED)
    whole = (run for run in last if run.status is RunStatus.SUCCEEDED and run.mode is SyncMode.MIRROR)
    rejected = next((run.counters.rejected for run in whole), 0)
    keeps = mapping.removal_policy is RemovalPolicy.KEEP or mapping.mode == SyncMode.ADD
    return AudienceSize(in_mparticle, synced + rejected, keeps)
