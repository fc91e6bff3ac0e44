"""Totals for monitoring count the runs that were deleted, too."""

import pytest
from sqlalchemy import update

from core.models.run import RunStatus
from core.store import connections, expiry, mappings, run_totals
from core.store.database import Database
from core.store.run_totals import RunTotals
from core.store.tables import runs
from tests.core.store.seeds import add_mapping, add_run

# More runs of a mapping than are kept.
RUNS = expiry.KEPT_RUNS + 3


async def totals(database: Database) -> RunTotals:
    """Read the totals."""
    async with database.read() as db:
        return await run_totals.read(db)


@pytest.mark.parametrize("how", ["expired", "of a mapping", "of a connection"])
async def test_totals_never_go_down(database: Database, how: str) -> None:
    """What deleted runs have counted is kept, however often runs are deleted."""
    mapping = await add_mapping(database)
    for turn in (1, 2):
        for _ in range(RUNS):
            await add_run(database, mapping)
        async with database.write() as db:
            ended = {"status": RunStatus.SUCCEEDED.value, "finished_at": 1.0, "is_purged": True}
            await db.execute(update(runs).values(added=5, requests=2, **ended))
        before = await totals(database)
        assert before.counted["added"] == 5 * RUNS * turn
        async with database.write() as db:
            if how == "expired":
                assert await expiry.drop_runs(db, 2.0, limit=100) > 0
            elif turn == 2 and how == "of a mapping":
                await mappings.remove(db, mapping.id)
            elif turn == 2:
                await connections.remove(db, mapping.connection_id)
        after = await totals(database)
        assert after.counted == before.counted
    assert after.by_status.get("succeeded", 0) == (expiry.KEPT_RUNS if how == "expired" else 0)
