"""The notes of `doctor` about mappings whose source may leave removals out."""

from typing import TYPE_CHECKING

from bot.cli.doctor import CheckResult
from core.models.run import SyncMode
from core.planning.removal_limits import removal_note
from core.store import connections, mappings, runs
from core.store.mappings import MappingStatus, RemovalPolicy

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def removal_findings(db: "AsyncConnection") -> list[CheckResult]:
    """Return a note for each active mapping whose files hold changes and have never held a removal."""
    notes = []
    for connection in await connections.everyone(db):
        for mapping in await mappings.of_connection(db, connection.id):
            may_remove = mapping.removal_policy is not RemovalPolicy.KEEP and mapping.mode != SyncMode.ADD
            if mapping.status is not MappingStatus.ACTIVE or mapping.is_live or not may_remove:
                continue
            if note := removal_note(await runs.delta_history(db, mapping.id)):
                notes.append(CheckResult(f"removals of {mapping.label}", True, note, is_note=True))
    return notes
