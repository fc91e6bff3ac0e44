"""Planning a repair: people who are missing on the list are added again; those who are extra leave, if asked for."""

from pathlib import Path
from typing import TYPE_CHECKING

from core.models.run import REPAIR, Guard, Repair, Run
from core.planning.approval_rules import PlanResult
from core.planning.diff import DiffCounts
from core.planning.guards import repair_guard
from core.planning.ledger_planner import plan_from_ledger
from core.planning.list_people import find_differences, load_people
from core.planning.workspace import run
from core.store.database import Database

if TYPE_CHECKING:
    import duckdb

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

    async def fill(con: "duckdb.DuckDBPyConnection", mapping_id: int) -> None:
        await load_people(con, people, repair.project_type)
        await run(con, _fill, con, mapping_id, repair)

    return await plan_from_ledger(
        database,
        data_dir,
        repair,
        memory_mb,
        shape=REPAIR,
        fill=fill,
        guard=_guard,
        members=lambda counts: counts.to_add + counts.unchanged + counts.duplicates,
        unchanged_as="add",
    )


def _guard(list_id: int, counts: DiffCounts) -> Guard:
    return repair_guard(list_id, to_add=counts.to_add, to_remove=counts.to_remove)


def _fill(con: "duckdb.DuckDBPyConnection", mapping_id: int, repair: Run) -> None:
    find_differences(con, repair.project_type)
    con.execute(_DESIRED, {"mapping_id": mapping_id})
    if repair.request.repairs is Repair.BOTH:
        con.execute(_RECORD_EXTRA, {"mapping_id": mapping_id})
        con.execute(_LEAVERS)
