"""The card with which a run asks for approval, and its details. Pure functions."""

from slack_sdk.models.blocks import Block

from bot.features.approval.warnings import check_of, headline, is_large_removal, size_change, warnings
from bot.features.ids import ApprovalAction, plan_value
from bot.features.runs.rejection_words import causes, rejected_line
from bot.features.runs.result_messages import merging, notes
from bot.features.runs.run_view import RunView, links, origin, reason
from bot.ui.blocks import Message, actions, button, context, fields, modal, section
from bot.ui.formatting import (
    JOURNEYS,
    NO_CHANGES,
    changes,
    cut,
    escape,
    estimate,
    moment,
    number,
    person,
    plural,
    share,
)
from core.connections.permissions import why_not_approve
from core.models.data_fields import fields_text
from core.models.run import EMPTYING, REPAIR, GuardName, RunPlan, SyncMode

_MODES = {
    SyncMode.MIRROR: "The list becomes equal to the audience: anyone missing is removed.",
    SyncMode.DELTA: "People who joined the audience are added, and people who left are removed. Everyone else stays.",
    SyncMode.ADD: "People are added. No one is removed.",
}
_FILE_NAME_MAX = 60


def card(view: RunView) -> Message:
    """Return the message with which a run asks for approval."""
    plan = view.run.plan or RunPlan()
    is_large = is_large_removal(plan)
    text = f"Approval needed: {view.what}. {size_change(plan)}. Nothing has been sent yet."
    if is_large:
        text = f"Large removal. {text}"
    audience, value = view.run.audience or "the audience", plan_value(view.run.id, view.run.plan_digest)
    review = button(
        "Review",
        ApprovalAction.REVIEW,
        value,
        style="danger" if is_large else "primary",
        label=f"Review the sync of {audience}",
    )
    decline = button("Decline", ApprovalAction.DECLINE, value, label=f"Decline the sync of {audience}")
    details = button("Details", ApprovalAction.DETAILS, view.run.id, label=f"Details of the sync of {audience}")
    lines = [title(view), size_change(plan), *_reasons(view, plan, most=2)]
    if rejected := rejected_line(view):
        lines.append(rejected)
    small = context(" · ".join(_facts(view, plan)), approvers_line(view))
    return Message(
        text, [section("\n".join(lines)), *warnings(view, plan, most=2), small, actions(review, decline, details)]
    )


def title(view: RunView) -> str:
    """Return what is to be decided, as the first lines of a card or modal (mrkdwn)."""
    plan = view.run.plan or RunPlan()
    needed = f"Approval needed: {view.what}"
    warning = headline(view, plan)
    return f":raised_hand: *{needed}*" if warning is None else f"{warning}\n{needed}"


def details_modal(view: RunView) -> dict[str, object]:
    """Return the modal with the numbers and reasons of a run that waits for approval, for everyone in the channel."""
    plan = view.run.plan or RunPlan()
    head = section(f"*{view.what}*\n{size_change(plan)}. Nothing has been sent yet.")
    return modal("Details", [head, *warnings(view, plan), *details(view), context(*origin(view))])


def details(view: RunView) -> list[Block]:
    """Return all numbers of a plan without zeros, why it needs approval, and who can't be synced."""
    plan = view.run.plan or RunPlan()
    has_no_source, takes_over = plan.shape in (REPAIR, EMPTYING), view.run.request.adopts is not None
    counts = [
        ("To add", plan.to_add, ""),
        ("To update", plan.to_update, ""),
        ("To remove", plan.to_remove, _share_removed(plan, "on the list" if takes_over else "synced before")),
        ("Unchanged", 0 if has_no_source or takes_over else plan.unchanged, ""),
        ("Rejected", plan.rejected, _of_them(plan)),
        ("On the list already" if takes_over else "Duplicates", _duplicates(plan, takes_over=takes_over), ""),
        ("People in the audience", 0 if has_no_source else plan.members, ""),
    ]
    pairs = [(name, f"{number(count)}{more}") for name, count, more in counts if count]
    if plan.to_merge:
        pairs.append(("Profiles to merge", f"up to {number(plan.to_merge)}"))
    if plan.fields:
        pairs.append(("Data fields", escape(fields_text(plan.fields))))
    if plan.requests:
        pairs.append(("Estimated time", f"{estimate(plan.seconds)} ({_requests(plan, view.run.rate)})"))
    blocks: list[Block] = list(fields(pairs))
    if reasons := _reasons(view, plan):
        blocks.append(section("\n".join(["*Why we're asking*", *(f"• {each}" for each in reasons)])))
    blocks += causes(view.report.rejected_by_reason, is_planned=True)
    if plan.to_add or plan.to_update or plan.to_remove:
        blocks.append(section(f"*Heads-up:* {JOURNEYS[0].lower()}{JOURNEYS[1:]}"))
    if plan.to_merge:
        blocks.append(section(merging(plan.to_merge)))
    if not view.run.is_compared_when_approved:
        blocks.append(context(_MODES[view.run.mode]))
    return [*blocks, *notes(view)]


def numbers(plan: RunPlan) -> str:
    """Return the planned changes, without zeros."""
    return changes(to_add=plan.to_add, to_update=plan.to_update, to_remove=plan.to_remove) or NO_CHANGES


def approvers(view: RunView) -> list[str]:
    """Return the people who may decide on a run."""
    connection = view.connection
    return [each for each in connection.approvers if why_not_decide(view, each) is None]


def why_not_decide(view: RunView, decider: str) -> str | None:
    """Return why a person may not decide on a run, in a sentence; None if they may."""
    return why_not_approve(view.connection, decider, view.run.asked_by, proposed_by=view.proposed_by)


def _of_them(plan: RunPlan) -> str:
    """Return how many of the rejected are forgotten and excluded."""
    pairs = ((plan.forgotten, "deleted under GDPR"), (plan.excluded, "excluded by the mapping"))
    words = ", ".join(f"{number(count)} {name}" for count, name in pairs if count)
    return f" ({words})" if words else ""


def _reasons(view: RunView, plan: RunPlan, most: int | None = None) -> list[str]:
    """Return why a plan needs approval and what to check, a line each (mrkdwn)."""
    listed = f"list {view.run.list_id}"
    guards = [guard for guard in plan.guards if most is None or guard.name is not GuardName.OTHER_AUDIENCE]
    lines = [f"{reason(guard.message).replace(listed, view.target)}{check_of(guard.name)}" for guard in guards]
    if most is None or len(lines) <= most:
        return lines
    return [*lines[:most], f"And {plural(len(lines) - most, 'more reason')}."]


def _facts(view: RunView, plan: RunPlan) -> list[str]:
    """Return the file with its age, the estimated time, links to list and audience, and who started the run."""
    facts = []
    if plan.file_name:
        at = plan.as_of.timestamp() if plan.as_of is not None else plan.source_at
        facts.append(escape(cut(plan.file_name, _FILE_NAME_MAX)) + (f", {moment(at)}" if at is not None else ""))
    if plan.requests:
        facts.append(f"Estimated time: {estimate(plan.seconds)}")
    return [*facts, *links(view), f"Started by {person(view.run.started_by)}", f"run {view.run.id}"]


def approvers_line(view: RunView) -> str:
    """Return who may decide on a run (mrkdwn)."""
    may_approve = approvers(view)
    return f"Approvers: {', '.join(map(person, may_approve))}" if may_approve else "No one can approve this yet"


def _duplicates(plan: RunPlan, *, takes_over: bool) -> int:
    return plan.duplicates + plan.unchanged if takes_over else plan.duplicates


def _share_removed(plan: RunPlan, what: str) -> str:
    """Return which share of the people leaves. `what` says which people that is of."""
    if not plan.ledger_size:
        return ""
    return f" ({share(plan.to_remove, plan.ledger_size)} of the {number(plan.ledger_size)} {what})"


def _requests(plan: RunPlan, rate: float) -> str:
    pace = f"at {rate:g} a second" if rate else "without a rate limit"
    return f"{plural(plan.requests, 'request')} {pace}"
