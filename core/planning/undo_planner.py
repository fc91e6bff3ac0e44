"""Planning an undo, second half: who is as a run left them is to be as they were before it.

An undo is a run like any other: it is compared with the ledger as a delta is, so that whom another mapping holds stays
on the list, and it can be interrupted, resumed and undone.
"""

from dataclasses import asdict
from pathlib import Path

import duckdb

from core.models.run import Run, RunPlan, SyncMode
from core.planning.applied_changes import compute_reversals, load_applied_changes
from core.planning.diff import diff_against_ledger
from core.planning.guards import undo_guard
from core.planning.identity_mapping import TABLES
from core.planning.planner import PlanResult, discard_drafts, load_targets, scalar, store_batches
from core.planning.workspace import load_ledger, run, workspace
from core.store import ledger
from core.store.database import Database

# The plan's shape, where those of files say what kind of file it was.
SHAPE = "undo"

_DESIRED = "INSERT INTO desired SELECT profile, email, user_id, true FROM reversals WHERE action = 'on'"
_GONE = "INSERT INTO gone SELECT profile, email, user_id, true, NULL FROM reversals WHERE action = 'off'"
_ALONE = "SELECT count(*) FROM reversals WHERE action = 'alone'"


async def plan_undo(database: Database, data_dir: Path, this: Run, memory_mb: int) -> PlanResult:
    """Plan a run that takes back what another did (`this.undo_of`), as `plan_run` plans one from its file.

    Members that are not as that run left them are not touched, and count as unchanged. Raises InputError where what it
    did is not kept any more.
    """
    assert this.undo_of is not None
    await discard_drafts(database, this.id)
    async with database.read() as db:
        target, of_list, revision = await load_targets(db, this)
        ledger_size = await ledger.size(db, target.id)
    async with workspace(data_dir, this.id, memory_mb) as con:
        con.execute(TABLES)
        await load_applied_changes(con, database, this.undo_of)
        await load_ledger(con, database, [m.id for m in of_list])
        await run(con, _fill, con, target.id)
        verdicts = await run(
            con,
            lambda: diff_against_ledger(
                con, mapping_id=target.id, field=this.user_id_field, mode=SyncMode.DELTA, keys_are_known=True
            ),
        )
        alone = scalar(con, _ALONE)
        desired = scalar(con, "SELECT count(*) FROM desired")
        requests = await store_batches(con, database, this.id)
    found = asdict(verdicts)
    found["unchanged"] += alone
    plan = RunPlan(
        shape=SHAPE,
        audience_id=target.audience_id,
        audience_name=target.audience_name,
        members=desired + alone,
        ledger_size=ledger_size,
        requests=requests,
        seconds=requests / this.rate if this.rate else 0.0,
        guards=()
        if this.request.approved
        else (
            undo_guard(
                this.undo_of, to_add=verdicts.to_add, to_update=verdicts.to_update, to_remove=verdicts.to_remove
            ),
        ),
        **found,
    )
    return PlanResult(plan, SyncMode.DELTA, revision)


def _fill(con: duckdb.DuckDBPyConnection, mapping_id: int) -> None:
    compute_reversals(con, mapping_id)
    con.execute(_DESIRED)
    con.execute(_GONE)
