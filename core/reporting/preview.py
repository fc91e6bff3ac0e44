"""The preview of a plan: a few members of each kind of change, for approvers."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.batch import BatchEntry, Operation, Phase
from core.store import batches, rejections
from core.store.batches import BatchStatus
from core.store.rejections import Rejection

#: How many members of each kind a preview has.
SAMPLE_SIZE = 5

_KINDS = ((Phase.ADD, Operation.ADD), (Phase.UPDATE, Operation.UPDATE), (Phase.REMOVE, Operation.REMOVE))


@dataclass(frozen=True, slots=True)
class PlanPreview:
    """Email addresses (or else user ids) of a few members of each kind. Mask them before they are shown."""

    added: tuple[str, ...]
    updated: tuple[str, ...]
    removed: tuple[str, ...]
    rejected: tuple[Rejection, ...]


async def load_preview(db: AsyncConnection, run_id: str, size: int = SAMPLE_SIZE) -> PlanPreview:
    """Return up to `size` members of each kind from a run that is planned and has sent nothing yet."""
    added, updated, removed = [await _members(db, run_id, phase, operation, size) for phase, operation in _KINDS]
    return PlanPreview(added, updated, removed, tuple(await rejections.first(db, run_id, size)))


async def _members(db: AsyncConnection, run_id: str, phase: Phase, operation: Operation, size: int) -> tuple[str, ...]:
    names: list[str] = []
    # the first batch nearly always has enough, unless it contains only former identities
    for batch in await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=2, phase=phase):
        names += [_name(entry) for entry in batch.entries if entry.op == operation]
    return tuple(names[:size])


def _name(entry: BatchEntry) -> str:
    return entry.email or entry.user_id or entry.member_key
