"""Planning: comparing a source with the ledger. It computes changes, rejections and counts, and sends nothing.

    source -> identity_mapping -> diff -> batching

core/sources does the first step and the modules here do the others, all in a workspace of DuckDB, or of SQLite if there
are few members (sql/schema.sql describes its tables). Most of these are planned in Python: `small_planner`, and
`live_planner` for live changes.

An undo has no source: `applied_changes` and `undo_planner` replace the first two steps. In a repair, `list_people` and
`repair_planner` do. A run that takes everyone off has none either (`emptying_planner`).
"""

from core.planning.approval_rules import PlanResult
from core.planning.emptying_planner import plan_emptying
from core.planning.list_people import compare_list
from core.planning.planner import plan_run, publish_plan
from core.planning.repair_planner import plan_repair
from core.planning.replanner import replan_run
from core.planning.undo_planner import plan_undo
from core.planning.workspace import MEMORY_MB

__all__ = [
    "MEMORY_MB",
    "PlanResult",
    "compare_list",
    "plan_emptying",
    "plan_repair",
    "plan_run",
    "plan_undo",
    "publish_plan",
    "replan_run",
]
