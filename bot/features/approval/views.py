"""What approvers see: the modals, and the replies in the card's thread."""

from collections.abc import Sequence

from slack_sdk.models.blocks import Block, ButtonElement, PlainTextInputElement

from bot.features.approval.card import approvers, details, numbers, title, why_not_decide
from bot.features.approval.warnings import is_large_removal, numbers_before, size_change, warnings
from bot.features.ids import ApprovalAction, ApprovalBlock, ApprovalCallback, plan_value
from bot.features.runs.run_view import COMMENT_MAX, RunView, comment
from bot.ui.blocks import (
    Message,
    actions,
    button,
    confirmation,
    divider,
    field_of,
    modal,
    notice,
    section,
    text_message,
)
from bot.ui.formatting import escape, masked, moment, person, plural, share
from bot.ui.modal_state import Metadata
from core.models.run import PlanNumbers, Run, RunPlan, RunStatus
from core.reporting.preview import PlanPreview
from core.reporting.rejection_reasons import explain
from core.store.rejections import Rejection

__all__ = ["approvers", "why_not_decide"]

CHANGED = (
    ":arrows_counterclockwise: *Changed since you looked.* Nothing was decided. Below are the numbers as they are now."
)


class PlanRef(Metadata):
    """The state of the modals: the run to decide on, and the plan that they show."""

    run_id: str
    plan_digest: str | None = None


def review(view: RunView, samples: PlanPreview, *, has_changed: bool = False) -> dict[str, object]:
    """Return the modal in which a run is approved. `has_changed`: the person decided on an earlier plan, or looked at
    it.

    The decision comes first: *Approve* submits the modal, *Decline* is a button. A large removal is approved with a red
    button that asks for confirmation; submitting the modal then declines.
    """
    plan = view.run.plan or RunPlan()
    is_large = is_large_removal(plan)
    decision = _approve_button(view, plan) if is_large else _decline_button(view)
    blocks: list[Block] = [
        *([section(CHANGED)] if has_changed else []),
        section(f"{title(view)}\n{size_change(plan)}. Nothing has been sent yet."),
        *warnings(view, plan),
        comment_field(),
        actions(decision),
        divider(),
        *details(view),
        *_samples(samples),
    ]
    if is_large:
        return modal(
            "Review this sync",
            blocks,
            callback=ApprovalCallback.DECLINE,
            submit="Decline",
            close="Not now",
            metadata=_plan_ref(view),
        )
    return modal(
        "Review this sync",
        blocks,
        callback=ApprovalCallback.REVIEW,
        submit="Approve",
        close="Not now",
        metadata=_plan_ref(view),
    )


def _approve_button(view: RunView, plan: RunPlan) -> ButtonElement:
    people = plural(plan.to_remove, "person", "people")
    question = confirmation(
        f"Remove {people}?",
        f"{size_change(plan)} on {view.target}. {share(plan.to_remove, plan.ledger_size)} of the list would leave it.",
        f"Remove {people}",
        "Go back",
    )
    return button(
        f"Approve and remove {people}",
        ApprovalAction.APPROVE,
        plan_value(view.run.id, view.run.plan_digest),
        style="danger",
        confirm=question,
        label=f"Approve and remove {people}",
    )


def _decline_button(view: RunView) -> ButtonElement:
    audience = view.run.audience or "the audience"
    value = plan_value(view.run.id, view.run.plan_digest)
    return button("Decline", ApprovalAction.DECLINE_HERE, value, label=f"Decline the sync of {audience}")


def _plan_ref(view: RunView) -> PlanRef:
    return PlanRef(run_id=view.run.id, plan_digest=view.run.plan_digest)


def decline(view: RunView, *, has_changed: bool = False) -> dict[str, object]:
    """Return the modal in which a run is declined."""
    plan = view.run.plan or RunPlan()
    blocks: list[Block] = [
        *([section(CHANGED)] if has_changed else []),
        section(f"*{view.what}*\n{numbers(plan)}. If you decline, nothing is sent."),
        comment_field(),
    ]
    return modal(
        "Decline this sync",
        blocks,
        callback=ApprovalCallback.DECLINE,
        submit="Decline",
        close="Not now",
        metadata=_plan_ref(view),
    )


def too_late(run: Run) -> dict[str, object]:
    """Return the modal for a person who comes too late."""
    return notice("Already decided", already(run))


def already(run: Run) -> str:
    """Return who decided on a run and when, or why there is nothing to decide (mrkdwn)."""
    if run.decided_by is not None and run.decided_at is not None:
        verb = "declined" if run.is_declined else "approved"
        remark = f" “{comment(run.comment)}”" if run.comment else ""
        return f"{person(run.decided_by)} {verb} this, {moment(run.decided_at)}.{remark}"
    if run.status is RunStatus.CANCELLED:
        return "This sync was cancelled, so there is nothing left to decide."
    if run.status is RunStatus.EXPIRED:
        return "This approval has expired, so nothing was sent. Press *Plan again* on its message to ask once more."
    if run.status in (RunStatus.QUEUED, RunStatus.PLANNING):
        return "The plan changed since you looked, and a new preview is being prepared. The card comes back with it."
    return "This sync no longer needs approval."


def not_allowed(why: str) -> dict[str, object]:
    """Return the modal for a person who may not decide. `why` is a sentence (mrkdwn)."""
    return notice("You can't approve this", why)


def working() -> dict[str, object]:
    """Return the modal that is shown while a decision is being stored."""
    return notice("One moment", "Recording your decision.")


def decided(approved: bool) -> dict[str, object]:
    """Return the modal that confirms a decision which took long to store."""
    if approved:
        return notice("Approved", "The sync continues. Its message in the channel shows the progress.")
    return notice("Declined", "Nothing is sent.")


def ask(view: RunView) -> Message:
    """Return the reply that mentions the approvers of a run."""
    may_approve = approvers(view)
    if not may_approve:
        text = (
            f"No one can approve this: {escape(view.connection.label)} has no approver other than who asked for it. "
            "An admin can name another in the connection's settings."
        )
    else:
        text = f"{' '.join(person(each) for each in may_approve)}: please review this sync."
    return text_message(text)


def reminder(view: RunView) -> Message:
    """Return the reply that reminds the approvers of a run."""
    since = view.run.finished_at or view.run.created_at
    may_approve = " ".join(person(each) for each in approvers(view)) or "No one can approve this yet"
    text = f"{may_approve}: this sync still waits for approval, since {moment(since)}."
    return text_message(text)


def changed(view: RunView) -> Message:
    """Return the reply that mentions the approvers again, because the plan changed."""
    plan = view.run.plan or RunPlan()
    replaced = plan.replaces or PlanNumbers()
    approvers_text = " ".join(person(each) for each in approvers(view)) or "No one can approve this yet"
    text = (
        f"{approvers_text}: the plan changed since you looked. It was {numbers_before(replaced)}; now it is "
        f"{numbers(plan)}. Please review it again."
    )
    return text_message(text)


def _samples(samples: PlanPreview) -> list[Block]:
    kinds = [("added", samples.added), ("updated", samples.updated), ("removed", samples.removed)]
    texts = [f"*Would be {kind} - examples*\n{_names(names)}" for kind, names in kinds if names]
    if samples.rejected:
        texts.append("*Can't be synced - examples*\n" + "\n".join(dict.fromkeys(map(_rejected, samples.rejected))))
    return [section(text) for text in texts]


def _names(names: Sequence[str]) -> str:
    return "\n".join(f"• {mask(each)}" for each in names)


def _rejected(rejection: Rejection) -> str:
    name = rejection.email or rejection.customer_id or rejection.member_key or "someone"
    return f"• {mask(name)}: {escape(explain(rejection.reason).meaning)}"


def mask(name: str) -> str:
    """Return the first character of an id, or of an email address with its domain; the rest is masked (mrkdwn)."""
    return escape(masked(name) if "@" in name else f"{name[:1]}***")


def comment_field() -> Block:
    """Return the input for a comment."""
    element = PlainTextInputElement(action_id=ApprovalBlock.COMMENT, multiline=True, max_length=COMMENT_MAX)
    return field_of("Comment", ApprovalBlock.COMMENT, element, hint="Everyone in the channel sees it.", optional=True)
