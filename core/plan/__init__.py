"""Planning: a source compared with the ledger gives changes, rejections and counts. Nothing is sent.

    source -> mapping -> compare -> batches

The first happens in core/audience, the others here, all in a DuckDB workspace.
"""

from core.plan.planning import plan_run, replan_run

__all__ = ["plan_run", "replan_run"]
