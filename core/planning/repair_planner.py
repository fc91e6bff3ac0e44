"""Planning a repair: people who are missing on the list are added again, and (if asked for) those who are extra leave.

A repair is a run like any other: it needs approval, and can be interrupted, resumed and undone.
"""

from dataclasses import asdict
from pathlib import Path

import duckdb

from core.models.run import REPAIR, Repair, Run, RunPlan, SyncMode
from core.planning.approval_rules import PlanResult, had_approval, with_open_guards
from core.planning.approved_changes import count_outside, load_approved_changes
from core.planning.diff import diff_against_ledger
from core.planning.guards import check_project_type, check_removals, repair_guard
from core.planning.list_people import find_differences, load_people
from core.planning.plan_storage import discard_drafts, store_batches
from core.planning.planner import load_targets
from core.planning.schema import TABLES, create
from core.planning.workspace import load_ledger, run, workspace
from core.store import ledger
from core.store.database import Database

_DESIRED = (
    "INSERT INTO desired SELECT member_key, email, user_id, true FROM list_missing WHERE mapping_id = $mapping_id"
)
# As in core/planning/adoption.py: recorded, so that an undo of the run puts them back.
_RECORD_EXTRA = """
INSERT INTO ledger
SELECT $mapping_id, if(email IS NULL, 'customer:', 'email:') || person, email, user_id, true FROM list_extra
"""
_LEAVERS = """
INSERT INTO leavers
SELECT if(email IS NULL, 'customer:', 'email:') || person, email, user_id, true, NULL FROM list_extra
"""


async def plan_repair(database: Database, data_dir: Path, repair: Run, people: Path, memory_mb: int) -> PlanResult:
    """Plan a run that repairs its list (`repair.request.repairs`). Stores drafts and returns the plan, like `plan_run`.

    `people` is a file with the people on the list, an email or user id a line.
    """
    assert repair.request.repairs is not None
    await discard_drafts(database, repair.id, keep_planned=had_approval(repair))
    async with database.read() as db:
        target, mappings_of_list, revision = await load_targets(db, repair)
        ledger_size = await ledger.size(db, target.id)
    async with workspace(data_dir, repair.id, memory_mb) as con:
        is_bound = had_approval(repair) and await load_approved_changes(con, database, repair.id)
        con.execute(create(*TABLES))
        await load_ledger(con, database, [mapping.id for mapping in mappings_of_list])
        await load_people(con, people, repair.project_type)
        await run(con, _fill, con, target.id, repair)
        counts = await run(
            con,
            lambda: diff_against_ledger(
                con,
                mapping_id=target.id,
                field=repair.user_id_field,
                mode=SyncMode.DELTA,
                project_type=repair.project_type,
                keys_are_known=True,
                unchanged_as="add",
            ),
        )
        outside = await run(con, count_outside, con) if is_bound else None
        requests = (await store_batches(con, database, repair.id)).requests
    plan = RunPlan(
        shape=REPAIR,
        audience_id=target.audience_id,
        audience_name=target.audience_name,
        members=counts.to_add + counts.unchanged + counts.duplicates,
        ledger_size=ledger_size,
        requests=requests,
        seconds=requests / repair.rate if repair.rate else 0.0,
        **asdict(counts),
    )
    guards = [
        repair_guard(target.list_id, to_add=counts.to_add, to_remove=counts.to_remove),
        *check_removals(target, counts.to_remove, ledger_size),
        *check_project_type(target, repair.project_type),
    ]
    return with_open_guards(repair, PlanResult(plan, SyncMode.DELTA, revision), guards, outside)


def _fill(con: duckdb.DuckDBPyConnection, mapping_id: int, repair: Run) -> None:
    find_differences(con, repair.project_type)
    con.execute(_DESIRED, {"mapping_id": mapping_id})
    if repair.request.repairs is Repair.BOTH:
        con.execute(_RECORD_EXTRA, {"mapping_id": mapping_id})
        con.execute(_LEAVERS)
