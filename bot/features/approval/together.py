"""Several runs that are decided together: the card and the modals. Pure functions."""

from collections.abc import Sequence
from typing import Any

from slack_sdk.models.blocks import Block

from bot.features.approval import views
from bot.features.approval.card import approvers_line
from bot.features.approval.warnings import headline, size_change, warnings
from bot.features.ids import ApprovalAction, ApprovalCallback, plan_value
from bot.features.runs.run_view import RunView, origin, reason
from bot.ui.blocks import Message, actions, button, context, divider, modal, section
from bot.ui.formatting import JOURNEYS, changes, plural
from bot.ui.modal_state import Metadata
from core.models.run import GuardName, RunPlan

_TITLE = "Review an A/B test"


class PlanRefs(Metadata):
    """The state of the modals: the runs to decide on, each with the plan that they show."""

    plans: tuple[tuple[str, str | None], ...]

    @classmethod
    def of(cls, group: Sequence[RunView]) -> "PlanRefs":
        """Return the runs with their plans."""
        return cls(plans=tuple((view.run.id, view.run.plan_digest) for view in group))


def card(group: Sequence[RunView]) -> Message:
    """Return the message with which several runs ask for one approval."""
    first = group[0]
    title = f"Approval needed: {plural(len(group), 'variant')} of an A/B test, each to its own list"
    text = f"{title}. Nothing has been sent yet."
    value = plan_value(first.run.id, first.run.plan_digest)
    buttons = actions(
        button("Review", ApprovalAction.REVIEW, value, style="primary", label="Review the variants of the A/B test"),
        button("Decline", ApprovalAction.DECLINE, value, label="Decline the variants of the A/B test"),
    )
    lines = "\n".join(_line(view) for view in group)
    return Message(
        text,
        [
            section(f":raised_hand: *{title}*\n{lines}"),
            context("One decision covers all variants.", *origin(first), approvers_line(first)),
            buttons,
        ],
    )


def review(group: Sequence[RunView], *, has_changed: bool = False) -> dict[str, Any]:
    """Return the modal in which several runs are approved at once."""
    blocks: list[Block] = [section(views.CHANGED)] if has_changed else []
    for view in group:
        blocks += _one(view)
    blocks += [
        section(f"*Heads-up:* {JOURNEYS[0].lower()}{JOURNEYS[1:]}"),
        context("Each variant gets its own sync. The control and variants without a list are not synced."),
        views.comment_field(),
        actions(
            button("Decline all", ApprovalAction.DECLINE_HERE, label="Decline all the variants of the A/B test"),
        ),
    ]
    return modal(
        _TITLE,
        blocks,
        callback=ApprovalCallback.REVIEW_TOGETHER,
        submit="Approve all",
        close="Not now",
        metadata=PlanRefs.of(group),
    )


def decline(group: Sequence[RunView]) -> dict[str, Any]:
    """Return the modal in which several runs are declined at once."""
    lines = "\n".join(_line(view) for view in group)
    blocks: list[Block] = [section(f"{lines}\nIf you decline, nothing is sent."), views.comment_field()]
    return modal(
        "Decline an A/B test",
        blocks,
        callback=ApprovalCallback.DECLINE_TOGETHER,
        submit="Decline all",
        close="Not now",
        metadata=PlanRefs.of(group),
    )


def _line(view: RunView) -> str:
    plan = view.run.plan or RunPlan()
    rest = changes(unchanged=plan.unchanged, rejected=plan.rejected)
    return f"• {view.what}: {size_change(plan)}{f' · {rest}' if rest else ''}"


def _one(view: RunView) -> list[Block]:
    plan = view.run.plan or RunPlan()
    rest = changes(unchanged=plan.unchanged, rejected=plan.rejected)
    head = f"*{view.what}*\n{size_change(plan)}{f' · {rest}' if rest else ''}"
    if warning := headline(view, plan):
        head = f"{warning}\n{head}"
    guards = [guard.message for guard in plan.guards if guard.name is not GuardName.NEW_MAPPING]
    why = [section("\n".join(f"• {reason(message)}" for message in guards))] if guards else []
    return [section(head), *warnings(view, plan), *why, divider()]
