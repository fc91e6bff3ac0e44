"""Planning to take everyone off a list who is there because of one mapping, and of no other."""

from pathlib import Path
from typing import TYPE_CHECKING

from core.models.batch import FORMER_IDENTITY_PREFIX
from core.models.run import EMPTYING, Guard, Run
from core.planning.approval_rules import PlanResult
from core.planning.diff import DiffCounts
from core.planning.guards import emptying_guard
from core.planning.ledger_planner import plan_from_ledger
from core.planning.workspace import run
from core.store.database import Database

if TYPE_CHECKING:
    import duckdb

_LEAVERS = """
INSERT INTO leavers SELECT member_key, email, user_id, true, NULL FROM ledger
WHERE mapping_id = $mapping_id AND NOT starts_with(member_key, $former)
"""


async def plan_emptying(database: Database, data_dir: Path, emptying: Run, memory_mb: int) -> PlanResult:
    """Plan a run that takes everyone off its list (`emptying.request.empties`).

    Stores drafts and returns the plan, like `plan_run`.
    """
    return await plan_from_ledger(database, data_dir, emptying, memory_mb, shape=EMPTYING, fill=_fill, guard=_guard)


async def _fill(con: "duckdb.DuckDBPyConnection", mapping_id: int) -> None:
    await run(con, con.execute, _LEAVERS, {"mapping_id": mapping_id, "former": FORMER_IDENTITY_PREFIX})


def _guard(list_id: int, counts: DiffCounts) -> Guard:
    return emptying_guard(list_id, to_remove=counts.to_remove, stays=counts.duplicates)
