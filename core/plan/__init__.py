"""Planning: a source compared with the ledger gives changes, rejections and counts. Nothing is sent.

    source -> mapping -> compare -> batches

The first happens in core/audience, the others here, all in a DuckDB workspace.
"""

from core.plan.planning import Planned, plan_run, publish, replan_run
from core.plan.workspace import MEMORY_MB

__all__ = ["MEMORY_MB", "Planned", "plan_run", "publish", "replan_run"]
