"""The changes that a person approved, and whether a later plan of the same run stays within them.

A run is planned again if the ledger of its list changed, or if an earlier run of its mapping was executed first. The
approved plan's stored batches contain the approved changes. DuckDB compares them as sets of members: the same number of
changes to other people is not covered.
"""

from dataclasses import dataclass

from core.models.batch import Operation, Phase, decode
from core.planning.schema import create
from core.planning.workspace import Workspace, insert, run
from core.store import batches
from core.store.batches import BatchStatus
from core.store.database import Database

# Batches that are read at once.
BATCHES_A_READ = 20

#: The kind of change that each operation was approved as. Operations that are not sent need no approval.
_KINDS = {
    Operation.ADD: "add",
    Operation.RESUBSCRIBE_UNCOUNTED: "add",
    Operation.UPDATE: "update",
    Operation.RENAME: "rename",
    Operation.REMOVE: "remove",
    Operation.UNSUBSCRIBE_FORMER: "remove",
    Operation.DUPLICATE: "duplicate",
}
_SENT_PHASES = (Phase.REMOVE, Phase.RENAME, Phase.UPDATE, Phase.ADD)

# An addition or update must have been approved under exactly this identity, because that is where messages go. An
# approved addition covers an update: the person may be on the list by now. A removal must have been approved for this
# person; the address may have changed since. A former identity is covered by the approved change of its member.
_OUTSIDE = """
SELECT
    (SELECT count(*) FROM (
        SELECT email, user_id FROM classified WHERE outcome = 'add'
        EXCEPT SELECT email, user_id FROM approved_changes WHERE kind = 'add')),
    (SELECT count(*) FROM (
        SELECT email, user_id FROM classified WHERE outcome = 'update'
        EXCEPT SELECT email, user_id FROM approved_changes WHERE kind IN ('add', 'update'))),
    (SELECT count(*) FROM removals
        WHERE position = 1
        AND NOT (is_leaver AND member_key IN (SELECT member_key FROM approved_changes WHERE kind = 'remove'))
        AND NOT (NOT is_leaver AND member_key IN (SELECT member_key FROM approved_changes))
        AND coalesce('k' || subscriber_key(email, user_id), 'u' || user_id, '') NOT IN (
            SELECT coalesce('k' || subscriber_key(email, user_id), 'u' || user_id, '')
            FROM approved_changes WHERE kind = 'remove'))
"""
# Renames of people whose update was approved without one, if a rename may merge profiles.
_MERGES_OUTSIDE = """
SELECT count(*) FROM classified
WHERE needs_rename AND outcome = 'update'
    AND member_key NOT IN (SELECT member_key FROM approved_changes WHERE kind = 'rename')
    AND EXISTS (SELECT 1 FROM approved_changes WHERE kind IN ('add', 'update')
        AND approved_changes.email IS NOT DISTINCT FROM classified.email
        AND approved_changes.user_id IS NOT DISTINCT FROM classified.user_id)
"""


@dataclass(frozen=True, slots=True)
class OutsideApproval:
    """How many changes of the new plan were not approved, by kind. People are counted."""

    to_add: int
    to_update: int
    to_remove: int
    to_merge: int = 0

    @property
    def total(self) -> int:
        """The sum of all kinds."""
        return self.to_add + self.to_update + self.to_remove + self.to_merge


async def load_approved_changes(con: Workspace, database: Database, run_id: str) -> bool:
    """Create the table `approved_changes` from the batches of a run that are still planned.

    Returns False if there are none: then nothing of the approved plan is left to compare with.
    """
    con.execute(create("approved_changes"))
    after = 0
    while True:
        async with database.read() as db:
            planned = await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=BATCHES_A_READ, after=after)
        if not planned:
            return after > 0
        after = planned[-1].id
        for batch in planned:
            if batch.phase in _SENT_PHASES:
                await run(con, _load_batch, con, batch.phase, batch.members)


def count_outside(con: Workspace, *, merges: bool = False) -> OutsideApproval:
    """Count the changes of a plan (the tables that `core.planning.diff` creates) that were not approved.

    `merges`: a rename may merge profiles, so that it has to be approved, too.
    """
    to_add, to_update, to_remove = con.execute(_OUTSIDE).fetchall()[0]
    [to_merge] = con.execute(_MERGES_OUTSIDE).fetchall()[0] if merges else [0]
    return OutsideApproval(to_add, to_update, to_remove, to_merge)


def _load_batch(con: Workspace, phase: Phase, members: str) -> None:
    # a duplicate in a removal batch was approved as a removal
    kinds = {**_KINDS, Operation.DUPLICATE: "remove"} if phase is Phase.REMOVE else _KINDS
    rows = [
        (kinds[operation], entry.member_key, entry.email, entry.user_id)
        for entry in decode(members).entries
        if (operation := Operation(entry.op)) in kinds
    ]
    insert(con, "approved_changes", rows)
