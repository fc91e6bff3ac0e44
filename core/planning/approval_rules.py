"""Whether a plan needs approval: its guards, and how far it exceeds a plan that was approved before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.models.run import Guard, GuardName, PlanNumbers, Run, RunPlan, SyncMode
from core.planning.approved_changes import OutsideApproval
from core.planning.diff import DiffCounts
from core.planning.guards import changed_plan_guard, check_merges, not_overruled


@dataclass(frozen=True, slots=True)
class PlanResult:
    """The outcome of planning a run. Its changes are stored as drafts until `publish_plan`."""

    plan: RunPlan
    mode: SyncMode
    revision: int
    is_approved: bool = False
    """Whether it needs no approval: a person approved in advance, or it stays within the plan approved before."""


def had_approval(planned: Run) -> bool:
    """Return whether a person approved a plan of the run that was discarded later. Its batches are still stored."""
    return planned.discarded_plan is not None and planned.approved_digest is not None


def with_open_guards(
    planned: Run, result: PlanResult, guards: Sequence[Guard], outside: OutsideApproval | None
) -> PlanResult:
    """Return the result with the guards that need approval, or as approved if there are none left.

    `guards` are all that the plan triggers. `outside` counts the changes beyond the plan approved before; None if no
    plan was approved, or if its batches no longer exist.
    """
    if planned.request.live:  # live changes are approved with their mapping, for the type of project of that time
        guards = tuple(guard for guard in guards if guard.name is GuardName.PROJECT_TYPE)
        return replace(result, plan=result.plan.model_copy(update={"guards": guards}))
    before = planned.discarded_plan
    if before is None or not (before.guards or planned.approved_digest):
        still_open = not_overruled(guards, planned.request)
        plan = result.plan.model_copy(update={"guards": still_open})
        return replace(result, plan=plan, is_approved=bool(guards) and not still_open)
    is_alike = result.plan.fields == before.fields and (before.to_merge > 0 or not result.plan.to_merge)
    if planned.approved_digest and outside is not None and not outside.total and is_alike:
        return replace(result, is_approved=True)
    numbers = _numbers(before)
    changed = changed_plan_guard(numbers, outside.total if outside is not None else None)
    others = (guard for guard in guards if guard.name is not GuardName.CHANGED_PLAN)
    plan = result.plan.model_copy(update={"guards": (changed, *others), "replaces": numbers})
    return replace(result, plan=plan)


def rest_beyond_approval(unfinished: Run, counts: DiffCounts, outside: OutsideApproval, to_merge: int) -> RunPlan:
    """Return the plan of a run whose remaining changes exceed its approval. `to_merge` profiles may be merged.

    Its numbers are the changes that the run has made plus those that are left.
    """
    assert unfinished.plan is not None
    before = _numbers(unfinished.plan)
    done = unfinished.counters
    return unfinished.plan.model_copy(
        update={
            "to_add": done.added + counts.to_add + outside.to_add,
            "to_update": done.updated + counts.to_update,
            "to_remove": done.removed + counts.to_remove + outside.to_remove,
            "to_merge": to_merge,
            "guards": (changed_plan_guard(before, outside.total), *check_merges(to_merge)),
            "replaces": before,
        }
    )


def _numbers(plan: RunPlan) -> PlanNumbers:
    return PlanNumbers(to_add=plan.to_add, to_update=plan.to_update, to_remove=plan.to_remove, to_merge=plan.to_merge)
