"""Planning to take everyone off a list who is there because of one mapping, and of no other.

It is a run like any other: it needs approval, and can be interrupted, resumed and undone.
"""

from dataclasses import asdict
from pathlib import Path

import duckdb

from core.models.batch import FORMER_IDENTITY_PREFIX
from core.models.run import EMPTYING, Run, RunPlan, SyncMode
from core.planning.approval_rules import PlanResult, had_approval, with_open_guards
from core.planning.approved_changes import count_outside, load_approved_changes
from core.planning.diff import diff_against_ledger
from core.planning.guards import check_project_type, check_removals, emptying_guard
from core.planning.plan_storage import discard_drafts, store_batches
from core.planning.planner import load_targets
from core.planning.schema import TABLES, create
from core.planning.workspace import load_ledger, run, workspace
from core.store import ledger
from core.store.database import Database

_LEAVERS = """
INSERT INTO leavers SELECT member_key, email, user_id, true, NULL FROM ledger
WHERE mapping_id = $mapping_id AND NOT starts_with(member_key, $former)
"""


async def plan_emptying(database: Database, data_dir: Path, emptying: Run, memory_mb: int) -> PlanResult:
    """Plan a run that takes everyone off its list (`emptying.request.empties`).

    Stores drafts and returns the plan, like `plan_run`.
    """
    await discard_drafts(database, emptying.id, keep_planned=had_approval(emptying))
    async with database.read() as db:
        target, mappings_of_list, revision = await load_targets(db, emptying)
        ledger_size = await ledger.size(db, target.id)
    async with workspace(data_dir, emptying.id, memory_mb) as con:
        is_bound = had_approval(emptying) and await load_approved_changes(con, database, emptying.id)
        con.execute(create(*TABLES))
        await load_ledger(con, database, [mapping.id for mapping in mappings_of_list])
        await run(con, _fill, con, target.id)
        counts = await run(
            con,
            lambda: diff_against_ledger(
                con,
                mapping_id=target.id,
                field=emptying.user_id_field,
                mode=SyncMode.DELTA,
                project_type=emptying.project_type,
                keys_are_known=True,
            ),
        )
        outside = await run(con, count_outside, con) if is_bound else None
        requests = (await store_batches(con, database, emptying.id)).requests
    plan = RunPlan(
        shape=EMPTYING,
        audience_id=target.audience_id,
        audience_name=target.audience_name,
        ledger_size=ledger_size,
        requests=requests,
        seconds=requests / emptying.rate if emptying.rate else 0.0,
        **asdict(counts),
    )
    guards = [
        emptying_guard(target.list_id, to_remove=counts.to_remove, stays=counts.duplicates),
        *check_removals(target, counts.to_remove, ledger_size),
        *check_project_type(target, emptying.project_type),
    ]
    return with_open_guards(emptying, PlanResult(plan, SyncMode.DELTA, revision), guards, outside)


def _fill(con: duckdb.DuckDBPyConnection, mapping_id: int) -> None:
    con.execute(_LEAVERS, {"mapping_id": mapping_id, "former": FORMER_IDENTITY_PREFIX})
