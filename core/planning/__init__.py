"""Planning: a source compared with the ledger gives changes, rejections and counts. Nothing is sent.

    source -> mapping -> compare -> batches

The first happens in core/audience, the others here, all in a DuckDB workspace. Where the source is what another run did
(an undo), `deeds` and `undoing` take the place of the first two.
"""

from core.planning.planner import PlanResult, plan_run, publish_plan, replan_run
from core.planning.undo_planner import plan_undo
from core.planning.workspace import MEMORY_MB

__all__ = ["MEMORY_MB", "PlanResult", "plan_run", "plan_undo", "publish_plan", "replan_run"]
