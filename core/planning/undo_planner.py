"""Planning an undo: members that have not changed since a run return to their state before it.

An undo is a run like any other. It is compared with the ledger like a delta, so a member that another mapping holds
stays on the list. It can be interrupted, resumed and undone.
"""

from dataclasses import asdict
from pathlib import Path

from core.identity import ProjectType
from core.models.run import Run, RunPlan, SyncMode
from core.planning.applied_changes import compute_reversals, load_applied_changes
from core.planning.approval_rules import PlanResult, with_open_guards
from core.planning.diff import diff_against_ledger
from core.planning.guards import check_project_type, undo_guard
from core.planning.plan_storage import discard_drafts, store_batches
from core.planning.planner import load_targets
from core.planning.schema import TABLES, create
from core.planning.whole_ledger import load_whole_ledger
from core.planning.workspace import Workspace, run, scalar, workspace
from core.store.database import Database

# The shape of an undo's plan. The shape of other plans is the kind of their file.
SHAPE = "undo"

_DESIRED = "INSERT INTO desired SELECT member_key, email, user_id, true FROM reversals WHERE action = 'on'"
_LEAVERS = "INSERT INTO leavers SELECT member_key, email, user_id, true, NULL FROM reversals WHERE action = 'off'"
_UNTOUCHED = "SELECT count(*) FROM reversals WHERE action = 'none'"


async def plan_undo(database: Database, data_dir: Path, undo: Run, memory_mb: int) -> PlanResult:
    """Plan a run that undoes another one (`undo.undo_of`). Stores drafts and returns the plan, like `plan_run`.

    Members that have changed since that run are left alone and count as unchanged. Raises InputError if the batches of
    that run are no longer kept.
    """
    assert undo.undo_of is not None
    await discard_drafts(database, undo.id)
    async with database.read() as db:
        target, mappings_of_list, revision = await load_targets(db, undo)
    async with workspace(data_dir, undo.id, memory_mb) as con:
        con.execute(create(*TABLES))
        await load_applied_changes(con, database, undo.undo_of)
        on_list = await load_whole_ledger(con, database, target.id, [mapping.id for mapping in mappings_of_list])
        await run(con, _fill, con, target.id, undo.project_type)
        counts = await run(
            con,
            lambda: diff_against_ledger(
                con,
                mapping_id=target.id,
                field=undo.user_id_field,
                mode=SyncMode.DELTA,
                project_type=undo.project_type,
                keys_are_known=True,
            ),
        )
        untouched = scalar(con, _UNTOUCHED)
        desired = scalar(con, "SELECT count(*) FROM desired")
        requests = (await store_batches(con, database, undo.id)).requests
    numbers = asdict(counts)
    numbers["unchanged"] += untouched
    plan = RunPlan(
        shape=SHAPE,
        audience_id=target.audience_id,
        audience_name=target.audience_name,
        members=desired + untouched,
        ledger_size=on_list,
        requests=requests,
        seconds=requests / undo.rate if undo.rate else 0.0,
        **numbers,
    )
    guard = undo_guard(undo.undo_of, to_add=counts.to_add, to_update=counts.to_update, to_remove=counts.to_remove)
    guards = [guard, *check_project_type(target, undo.project_type)]
    return with_open_guards(undo, PlanResult(plan, SyncMode.DELTA, revision), guards, None)


def _fill(con: Workspace, mapping_id: int, project_type: ProjectType) -> None:
    compute_reversals(con, mapping_id, project_type)
    con.execute(_DESIRED)
    con.execute(_LEAVERS)
