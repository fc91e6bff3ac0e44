"""Warnings for an approver: changes since they looked, large removals, wrong lists and sources."""

from slack_sdk.models.blocks import Block

from bot.features.mapping_lookup import also_fed_warning
from bot.features.runs.result_messages import removal_warning
from bot.features.runs.run_view import RunView, reason
from bot.ui.blocks import section
from bot.ui.formatting import moment, number, plural, share
from bot.ui.list_words import campaign_lines, freeze_words
from core.models.run import REPAIR, GuardName, PlanNumbers, RunPlan

# A removal is large above this share of the list, if it concerns more than this number of people.
LARGE_SHARE, LARGE_FROM = 0.20, 100
_LARGE = frozenset({GuardName.MASS_REMOVAL, GuardName.EMPTY_AUDIENCE})


def is_large_removal(plan: RunPlan) -> bool:
    """Return whether a plan removes so many people that its approval needs a confirmation."""
    if not plan.to_remove:
        return False
    if any(guard.name in _LARGE for guard in plan.guards):
        return True
    return plan.ledger_size > LARGE_FROM and plan.to_remove > LARGE_SHARE * plan.ledger_size


def headline(view: RunView, plan: RunPlan) -> str | None:
    """Return the warning above a plan with a large removal (mrkdwn); None for all others."""
    if not is_large_removal(plan):
        return None
    share_text = f"{share(plan.to_remove, plan.ledger_size)} of " if plan.ledger_size else ""
    return f":warning: *Large removal: {share_text}{view.target}*"


def size_change(plan: RunPlan) -> str:
    """Return how many people the list has before and after, counting those that this program added."""
    size = plan.ledger_size
    if plan.shape == REPAIR:  # the ledger has those who are missing, and lacks those who are extra
        size += plan.to_remove - plan.to_add
    after = max(0, size + plan.to_add - plan.to_remove)
    signed = [f"{sign}{number(value)}" for sign, value in (("+", plan.to_add), ("−", plan.to_remove)) if value]
    changes = f" ({', '.join(signed)})" if signed else ""
    return f"{number(size)} → {plural(after, 'person', 'people')}{changes}"


def merges_before(replaced: PlanNumbers) -> str:
    """Return how many profiles the plan before would have merged, to be appended; "" if none."""
    return f", up to {replaced.to_merge:,} profiles to merge" if replaced.to_merge else ""


def warnings(view: RunView, plan: RunPlan) -> list[Block]:
    """Return all warnings that an approver should read before the numbers."""
    lines = []
    if plan.replaces is not None:
        replaced = plan.replaces
        lines.append(
            f":arrows_counterclockwise: *Changed since you looked.* Before: {replaced.to_add:,} to add, "
            f"{replaced.to_update:,} to update, {replaced.to_remove:,} to remove{merges_before(replaced)}."
        )
    if view.newer_source_at is not None and plan.source_at is not None:
        lines.append(
            f":warning: *A newer audience was synced meanwhile.* This one is of {moment(plan.source_at)}; the list "
            f"has the one of {moment(view.newer_source_at)}."
        )
    lines += campaign_lines(view.campaigns)
    if view.freeze is not None:
        lines.append(f":double_vertical_bar: {freeze_words(view.freeze)}. An approved sync waits until then.")
    if warning := removal_warning(plan):
        lines.append(warning)
    if view.also_fed_by:
        lines.append(also_fed_warning(view.also_fed_by))
    if any(guard.name is GuardName.OTHER_AUDIENCE for guard in plan.guards):
        message = next(guard.message for guard in plan.guards if guard.name is GuardName.OTHER_AUDIENCE)
        lines.append(f":warning: *The file is of another audience.* {reason(message)}")
    return [section("\n".join(lines))] if lines else []
