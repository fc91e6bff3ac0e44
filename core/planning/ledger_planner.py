"""Planning from the ledger and the list, without a file: repairs, and taking everyone off a list.

Such a run is like any other: it needs approval, and can be interrupted, resumed and undone.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from core.models.run import Guard, Run, RunPlan, SyncMode
from core.planning.approval_rules import PlanResult, had_approval, with_open_guards
from core.planning.approved_changes import count_outside, load_approved_changes
from core.planning.diff import DiffCounts, diff_against_ledger
from core.planning.guards import check_project_type, check_removals
from core.planning.plan_storage import discard_drafts, store_batches
from core.planning.planner import load_targets
from core.planning.schema import TABLES, create
from core.planning.whole_ledger import load_whole_ledger
from core.planning.workspace import run, workspace
from core.store.database import Database

if TYPE_CHECKING:
    import duckdb


async def plan_from_ledger(
    database: Database,
    data_dir: Path,
    planned: Run,
    memory_mb: int,
    *,
    shape: str,
    fill: Callable[["duckdb.DuckDBPyConnection", int], Awaitable[None]],
    guard: Callable[[int, DiffCounts], Guard],
    members: Callable[[DiffCounts], int] = lambda _: 0,
    unchanged_as: str | None = None,
) -> PlanResult:
    """Plan the changes that `fill` writes into the workspace, for the mapping with its id. Stores drafts.

    `guard` makes the guard of such a run from the id of the list and the counts, and `members` the number of members
    that the plan is about. `unchanged_as` is as for `diff_against_ledger`.
    """
    await discard_drafts(database, planned.id, keep_planned=had_approval(planned))
    async with database.read() as db:
        target, mappings_of_list, revision = await load_targets(db, planned)
    async with workspace(data_dir, planned.id, memory_mb) as con:
        is_bound = had_approval(planned) and await load_approved_changes(con, database, planned.id)
        con.execute(create(*TABLES))
        on_list = await load_whole_ledger(con, database, target.id, [mapping.id for mapping in mappings_of_list])
        await fill(con, target.id)
        counts = await run(
            con,
            lambda: diff_against_ledger(
                con,
                mapping_id=target.id,
                field=planned.user_id_field,
                mode=SyncMode.DELTA,
                project_type=planned.project_type,
                keys_are_known=True,
                unchanged_as=unchanged_as,
            ),
        )
        outside = await run(con, count_outside, con) if is_bound else None
        requests = (await store_batches(con, database, planned.id)).requests
    plan = RunPlan(
        shape=shape,
        audience_id=target.audience_id,
        audience_name=target.audience_name,
        members=members(counts),
        ledger_size=on_list,
        requests=requests,
        seconds=requests / planned.rate if planned.rate else 0.0,
        **asdict(counts),
    )
    guards = [
        guard(target.list_id, counts),
        *check_removals(target, counts.to_remove, on_list),
        *check_project_type(target, planned.project_type),
    ]
    return with_open_guards(planned, PlanResult(plan, SyncMode.DELTA, revision), guards, outside)
