"""Warnings for an approver: changes since they looked, large removals, wrong lists and sources."""

from slack_sdk.models.blocks import Block

from bot.features.mapping_lookup import also_fed_warning
from bot.features.runs.result_messages import removal_warning
from bot.features.runs.run_view import RunView, reason
from bot.ui.blocks import section
from bot.ui.formatting import NO_CHANGES, changes, moment, number, plural, share, signed
from bot.ui.list_words import campaign_lines, freeze_words
from core.models.run import REPAIR, GuardName, PlanNumbers, RunPlan

# What to check before approving, by the guard that stopped the run.
_CHECKS = {
    GuardName.EMPTY_AUDIENCE: "Approve only if the list should become empty; otherwise decline, and export it again.",
    GuardName.MASS_REMOVAL: "Approve only if you expect this many people to leave.",
    GuardName.OTHER_AUDIENCE: "Decline if this is the wrong file: nothing happens.",
    GuardName.SHARED_CUSTOMER_ID: "If it is the company, decline, and sync again without the column.",
    GuardName.VANISHED_IDENTITIES: "Approve only if these identities should be gone.",
    GuardName.PROJECT_TYPE: "Approve only if that is the type of the project; otherwise correct it at the connection.",
    GuardName.NEW_MAPPING: "Check that both are right.",
    GuardName.MASS_ADDITION: "Approve only if you expect this many people to join.",
    GuardName.MASS_REPLACEMENT: "Journeys may start again. Was the User ID setting changed?",
    GuardName.UNUSUAL_SIZE: "Check that the export is complete and of the right audience.",
    GuardName.OLDER_SOURCE: "Approve only if the list should go back to what it was then.",
    GuardName.PROFILE_MERGES: "Approve only if each of these people should have one profile.",
    GuardName.EMPTYING: "Approve only if the mapping is no longer needed. An undo can put the people back.",
    GuardName.REPAIR: "Approve only if no other tool feeds this list.",
    GuardName.ADOPTED_LIST: "Approve only if no other tool fills this list from now on.",
    GuardName.CHANGED_PLAN: "Look at the numbers again before you approve.",
}

# A removal is large above this share of the list, if it concerns more than this number of people.
LARGE_SHARE, LARGE_FROM = 0.20, 100
_LARGE = frozenset({GuardName.MASS_REMOVAL, GuardName.EMPTY_AUDIENCE})


def check_of(guard: GuardName) -> str:
    """Return what to check before approving what a guard stopped, after a blank (mrkdwn); "" if there is nothing."""
    return f" _{_CHECKS[guard]}_" if guard in _CHECKS else ""


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
    differences = [signed(value) for value in (plan.to_add, -plan.to_remove) if value]
    if plan.to_update:
        differences.append(f"{number(plan.to_update)} updated")
    return f"{number(size)} → {', '.join([plural(after, 'person', 'people'), *differences])}"


def numbers_before(replaced: PlanNumbers) -> str:
    """Return the changes of the plan that was shown before, without zeros."""
    numbers = changes(to_add=replaced.to_add, to_update=replaced.to_update, to_remove=replaced.to_remove) or NO_CHANGES
    return f"{numbers}, up to {plural(replaced.to_merge, 'profile')} to merge" if replaced.to_merge else numbers


def warnings(view: RunView, plan: RunPlan, most: int | None = None) -> list[Block]:
    """Return the warnings that an approver should read before the numbers: the first `most`, or all."""
    lines = []
    if plan.replaces is not None:
        lines.append(f":arrows_counterclockwise: *Changed since you looked.* Before: {numbers_before(plan.replaces)}.")
    if view.newer_source_at is not None and plan.source_at is not None:
        lines.append(
            f":warning: *A newer audience was synced already.* This one is of {moment(plan.source_at)}; the list "
            f"has the one of {moment(view.newer_source_at)}."
        )
    if any(guard.name is GuardName.OTHER_AUDIENCE for guard in plan.guards):
        message = next(guard.message for guard in plan.guards if guard.name is GuardName.OTHER_AUDIENCE)
        lines.append(
            f":warning: *The file is of another audience.* {reason(message)}{check_of(GuardName.OTHER_AUDIENCE)}"
        )
    lines += campaign_lines(view.campaigns)
    if view.freeze is not None:
        lines.append(f":double_vertical_bar: {freeze_words(view.freeze)}. An approved sync waits until then.")
    if warning := removal_warning(plan):
        lines.append(warning)
    if view.also_fed_by:
        lines.append(also_fed_warning(view.also_fed_by))
    if most is not None and len(lines) > most:
        lines = [*lines[:most], f"And {plural(len(lines) - most, 'more warning')}: see *Details*."]
    return [section("\n".join(lines))] if lines else []
