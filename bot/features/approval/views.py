"""What approvers see: the card in the channel, the modals, and the replies in its thread."""

from collections.abc import Sequence

from slack_sdk.models.blocks import Block, ButtonElement, PlainTextInputElement

from bot.features.approval.warnings import headline, is_large_removal, merges_before, size_change, warnings
from bot.features.ids import ApprovalAction, ApprovalBlock, ApprovalCallback, plan_value
from bot.features.runs.result_messages import causes, merging, notes
from bot.features.runs.run_view import COMMENT_MAX, RunView, comment, origin, reason
from bot.ui.blocks import (
    Message,
    actions,
    button,
    confirmation,
    context,
    divider,
    field_of,
    fields,
    modal,
    notice,
    section,
    text_message,
)
from bot.ui.formatting import JOURNEYS, duration, escape, masked, moment, number, person, plural, share
from bot.ui.modal_state import Metadata
from core.connections.permissions import why_not_approve
from core.models.data_fields import fields_text
from core.models.run import EMPTYING, REPAIR, GuardName, PlanNumbers, Run, RunPlan, RunStatus, SyncMode
from core.reporting.preview import PlanPreview
from core.reporting.rejection_reasons import explain
from core.store.rejections import Rejection

_MODES = {
    SyncMode.MIRROR: "The list is made equal to the audience.",
    SyncMode.DELTA: "Who joined the audience is added, who left it is removed.",
    SyncMode.ADD: "Members are added; no one is removed.",
}


# What to check before approving, by the guard that stopped the run.
_CHECKS = {
    GuardName.EMPTY_AUDIENCE: "Approve only if the list should become empty; otherwise decline, and export it again.",
    GuardName.MASS_REMOVAL: "Approve only if the file is the whole audience and so many should leave.",
    GuardName.OTHER_AUDIENCE: "If this is the wrong file, decline: nothing happens.",
    GuardName.SHARED_CUSTOMER_ID: "If it is the company, decline, and sync again without the column.",
    GuardName.VANISHED_IDENTITIES: "Approve only if these identities should be gone; otherwise decline.",
    GuardName.PROJECT_TYPE: "Approve only if that is the type of the project; otherwise correct it at the connection.",
    GuardName.NEW_MAPPING: "Check that it is the right audience and the right list.",
    GuardName.MASS_ADDITION: "Approve only if you expect so many people to join.",
    GuardName.MASS_REPLACEMENT: "Journeys may start again. Was the User ID setting changed?",
    GuardName.UNUSUAL_SIZE: "Check that the export is complete and of the right audience.",
    GuardName.OLDER_SOURCE: "Approve only if the list should go back to what it was then.",
    GuardName.PROFILE_MERGES: "Approve only if each of these people should have one profile.",
    GuardName.EMPTYING: "Approve only if the mapping is no longer needed. An undo can put the people back.",
    GuardName.REPAIR: "Approve only if no other tool feeds this list.",
    GuardName.ADOPTED_LIST: "Approve only if no other tool fills this list from now on.",
    GuardName.CHANGED_PLAN: "Look at the numbers again before you approve.",
}
CHANGED = (
    ":arrows_counterclockwise: *Changed since you looked.* Nothing was decided. Below are the numbers as they are now."
)


class PlanRef(Metadata):
    """The state of the modals: the run to decide on, and the plan that they show."""

    run_id: str
    plan_digest: str | None = None


def card(view: RunView) -> Message:
    """Return the message with which a run asks for approval."""
    plan = view.run.plan or RunPlan()
    is_large = is_large_removal(plan)
    text = f"To approve: {view.what}. {_numbers(plan)}. Nothing has been sent yet."
    if is_large:
        text = f"Large removal. {text}"
    head = f"*To approve: {view.what}*\n{size_change(plan)}\n{_numbers(plan)}. Nothing has been sent yet."
    if warning := headline(view, plan):
        head = f"{warning}\n{head}"
    buttons = actions(
        button(
            "Review",
            ApprovalAction.REVIEW,
            plan_value(view.run.id, view.run.plan_digest),
            style="danger" if is_large else "primary",
            label=f"Review the sync of {view.run.audience or 'the audience'}",
        ),
        button(
            "Decline",
            ApprovalAction.DECLINE,
            plan_value(view.run.id, view.run.plan_digest),
            label=f"Decline the sync of {view.run.audience or 'the audience'}",
        ),
    )
    return Message(
        text,
        [section(head), *warnings(view, plan), *_details(view), context(*origin(view), _deciders(view)), buttons],
    )


def review(view: RunView, samples: PlanPreview, *, has_changed: bool = False) -> dict[str, object]:
    """Return the modal in which a run is approved. `has_changed`: the person decided on an earlier plan, or looked at
    it.

    A large removal is approved with a red button that asks for confirmation; submitting the modal then declines.
    """
    plan = view.run.plan or RunPlan()
    head = f"*{view.what}*\n{size_change(plan)}\n{_numbers(plan)}. Nothing has been sent yet."
    if warning := headline(view, plan):
        head = f"{warning}\n{head}"
    blocks: list[Block] = [
        *([section(CHANGED)] if has_changed else []),
        section(head),
        *warnings(view, plan),
        *_details(view),
        *_samples(samples),
        divider(),
        comment_field(),
    ]
    if is_large_removal(plan):
        return modal(
            "Review this sync",
            [*blocks, actions(_approve_button(view, plan))],
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


def _plan_ref(view: RunView) -> PlanRef:
    return PlanRef(run_id=view.run.id, plan_digest=view.run.plan_digest)


def decline(view: RunView, *, has_changed: bool = False) -> dict[str, object]:
    """Return the modal in which a run is declined."""
    plan = view.run.plan or RunPlan()
    blocks: list[Block] = [
        *([section(CHANGED)] if has_changed else []),
        section(f"*{view.what}*\n{_numbers(plan)}. If you decline, nothing is sent."),
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
        return "The plan changed since you looked and is being made again. The card comes back with the new numbers."
    return "This sync no longer waits for approval."


def not_allowed(why: str) -> dict[str, object]:
    """Return the modal for a person who may not decide. `why` is a sentence (mrkdwn)."""
    return notice("Not yours to decide", why)


def working() -> dict[str, object]:
    """Return the modal that is shown while a decision is being stored."""
    return notice("One moment", "Your decision is being recorded.")


def decided(approved: bool) -> dict[str, object]:
    """Return the modal that confirms a decision which took long to store."""
    if approved:
        return notice("Approved", "The sync continues; its message in the channel shows the progress.")
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
        f"{approvers_text}: the plan changed since you looked. It was {replaced.to_add:,} to add, "
        f"{replaced.to_update:,} to update and {replaced.to_remove:,} to remove{merges_before(replaced)}; "
        f"now it is {_numbers(plan)}. Please review it again."
    )
    return text_message(text)


def approvers(view: RunView) -> list[str]:
    """Return the people who may decide on a run."""
    connection = view.connection
    return [each for each in connection.approvers if why_not_decide(view, each) is None]


def why_not_decide(view: RunView, decider: str) -> str | None:
    """Return why a person may not decide on a run, in a sentence; None if they may."""
    return why_not_approve(view.connection, decider, view.run.asked_by, proposed_by=view.proposed_by)


def _numbers(plan: RunPlan) -> str:
    return f"{plan.to_add:,} to add, {plan.to_update:,} to update, {plan.to_remove:,} to remove"


def _details(view: RunView) -> list[Block]:
    plan = view.run.plan or RunPlan()
    has_no_source, takes_over = plan.shape in (REPAIR, EMPTYING), view.run.request.adopts is not None
    pairs = [
        ("To add", number(plan.to_add)),
        ("To update", number(plan.to_update)),
        ("To remove", _removals(plan, "on the list" if takes_over else "that were synced before")),
        *([] if has_no_source or takes_over else [("Unchanged", number(plan.unchanged))]),
        ("Rejected", number(plan.rejected) + (f" ({number(plan.forgotten)} forgotten)" if plan.forgotten else "")),
    ]
    if plan.to_merge:
        pairs.append(("Profiles to merge", f"up to {number(plan.to_merge)}"))
    if takes_over:
        pairs.append(("On the list already", number(plan.duplicates + plan.unchanged)))
    elif plan.duplicates:
        pairs.append(("Same person as another member", number(plan.duplicates)))
    if plan.fields:
        pairs.append(("Data fields", escape(fields_text(plan.fields))))
    if not has_no_source:
        pairs.append(("Members in the audience", number(plan.members)))
    pairs.append(("Takes", _time(plan, view.run.rate)))
    blocks: list[Block] = list(fields(pairs))
    if plan.guards:
        sentences = "\n".join(f"• {reason(guard.message)}{_check(guard.name)}" for guard in plan.guards)
        blocks.append(section(f"*Why this is asked*\n{sentences}"))
    blocks += causes(view)
    if plan.to_add or plan.to_update or plan.to_remove:
        blocks.append(section(f"*Before you approve:* {JOURNEYS}"))
    if plan.to_merge:
        blocks.append(section(merging(plan.to_merge)))
    if not view.run.is_compared_when_approved:
        blocks.append(context(_MODES[view.run.mode]))
    return [*blocks, *notes(view)]


def _check(guard: GuardName) -> str:
    return f" _{_CHECKS[guard]}_" if guard in _CHECKS else ""


def _removals(plan: RunPlan, what: str) -> str:
    """Return how many people leave, and their share. `what` says which people that is of."""
    if not plan.to_remove or not plan.ledger_size:
        return number(plan.to_remove)
    whole = f"{number(plan.ledger_size)} {what}"
    return f"{number(plan.to_remove)} ({share(plan.to_remove, plan.ledger_size)} of the {whole})"


def _time(plan: RunPlan, rate: float) -> str:
    if not plan.requests:
        return "nothing is to be sent"
    pace = f"at {rate:g} a second" if rate else "without a rate limit"
    return f"about {duration(max(plan.seconds, 1.0))}: {plural(plan.requests, 'request')} {pace}"


def _deciders(view: RunView) -> str:
    may_approve = approvers(view)
    return (
        f"Can be decided by {', '.join(person(each) for each in may_approve)}"
        if may_approve
        else "No one can approve this yet"
    )


def _samples(samples: PlanPreview) -> list[Block]:
    kinds = [("added", samples.added), ("updated", samples.updated), ("removed", samples.removed)]
    texts = [f"*Would be {kind}, for example*\n{_names(names)}" for kind, names in kinds if names]
    if samples.rejected:
        texts.append("*Rejected, for example*\n" + "\n".join(dict.fromkeys(map(_rejected, samples.rejected))))
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
