"""The changes that a person approved, and whether a plan that is made again stays within them.

A plan is made again if the ledger of its list changed, or if an earlier run of its mapping was executed first. The
stored batches of the approved plan say whose approval covers what. They are compared as sets, in DuckDB: equal numbers
of other people would not do.
"""

from dataclasses import dataclass

import duckdb

from core.models.batch import Operation, Phase, decode
from core.planning.schema import create
from core.planning.workspace import insert, run
from core.store import batches
from core.store.batches import BatchStatus
from core.store.database import Database

# Batches read at once.
BATCHES_A_READ = 20

#: What each operation that is sent was approved as. What is not sent needs no approval.
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

# Who joins, or is sent again, must have been approved under this very identity: it is where messages go. Someone who
# was to join may be on the list by now. Someone who is removed must have been approved as a person: the address may be
# another by now. A former identity goes together with the approved change of its member.
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
        AND coalesce('e' || email, 'u' || user_id, '') NOT IN (
            SELECT coalesce('e' || email, 'u' || user_id, '') FROM approved_changes WHERE kind = 'remove'))
"""


@dataclass(frozen=True, slots=True)
class OutsideApproval:
    """How many changes of a plan that was made again lie outside of what was approved: people, by kind."""

    to_add: int
    to_update: int
    to_remove: int

    @property
    def total(self) -> int:
        """How many there are in all."""
        return self.to_add + self.to_update + self.to_remove


async def load_approved_changes(con: duckdb.DuckDBPyConnection, database: Database, run_id: str) -> bool:
    """Make the table `approved_changes` of the batches of a run that are still planned.

    Returns False if there are none: then nothing of the approved plan is left to compare with.
    """
    con.execute(create("approved_changes"))
    after = 0
    while True:
        async with database.read() as db:
            found = await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=BATCHES_A_READ, after=after)
        if not found:
            return after > 0
        after = found[-1].id
        for batch in found:
            if batch.phase in _SENT_PHASES:
                await run(con, _load_batch, con, batch.phase, batch.members)


def count_outside(con: duckdb.DuckDBPyConnection) -> OutsideApproval:
    """Compare a plan (the tables that `core.planning.diff` makes) with what was approved."""
    return OutsideApproval(*con.execute(_OUTSIDE).fetchall()[0])


def _load_batch(con: duckdb.DuckDBPyConnection, phase: Phase, members: str) -> None:
    # whoever is removed together with another one was approved to be removed
    kinds = {**_KINDS, Operation.DUPLICATE: "remove"} if phase is Phase.REMOVE else _KINDS
    rows = [
        (kinds[operation], entry.member_key, entry.email, entry.user_id)
        for entry in decode(members).entries
        if (operation := Operation(entry.op)) in kinds
    ]
    insert(con, "approved_changes", rows)
