"""What a person sees who decides on a run: the card in the channel, the modals, and what is said in the thread."""

from collections.abc import Sequence

from slack_sdk.models.blocks import Block, PlainTextInputElement

from bot.features.ids import ApprovalAction, ApprovalCallback
from bot.features.ids import ApprovalBlock as BlockId
from bot.features.runs.result_messages import causes
from bot.features.runs.run_view import COMMENT_MAX, JOURNEYS, RunView, comment, origin, reason
from bot.ui.blocks import Message, actions, button, context, divider, field_of, fields, modal, notice, section
from bot.ui.formatting import duration, escape, masked, moment, number, person, plural, share
from bot.ui.modal_state import Metadata
from core.connections.permissions import why_not_approve
from core.models.run import GuardName, Run, RunPlan, RunStatus, SyncMode
from core.reporting.preview import PlanPreview
from core.reporting.rejection_reasons import explain
from core.store.rejections import Rejection

_MODES = {
    SyncMode.MIRROR: "The list is made equal to the audience.",
    SyncMode.DELTA: "Who joined the audience is added, who left it is removed.",
    SyncMode.ADD: "Members are added; nobody is removed.",
}


# What to look at before one says yes.
_CHECKS = {
    GuardName.EMPTY_AUDIENCE: "Approve only if nobody is meant to stay; otherwise decline, and export it again.",
    GuardName.MASS_REMOVAL: "Approve only if the file is the whole audience and so many are meant to leave.",
    GuardName.OTHER_AUDIENCE: "If somebody took the wrong file, decline: nothing happens.",
    GuardName.NEW_MAPPING: "Check that it is the right audience and the right list.",
}


class Decision(Metadata):
    """What the modals remember: the run that is decided on."""

    run_id: str


def card(story: RunView) -> Message:
    """What a run would do, for those who decide on it."""
    plan = story.run.plan or RunPlan()
    text = f"To approve: {story.what}. {_numbers(plan)}. Nothing has been sent yet."
    head = f"*To approve: {story.what}*\n{_numbers(plan)}. Nothing has been sent yet."
    buttons = actions(
        button(
            "Review",
            ApprovalAction.REVIEW,
            story.run.id,
            style="primary",
            label=f"Review the sync of {story.run.audience or 'the audience'}",
        ),
        button(
            "Decline",
            ApprovalAction.DECLINE,
            story.run.id,
            label=f"Decline the sync of {story.run.audience or 'the audience'}",
        ),
    )
    return Message(text, [section(head), *_details(story), context(*origin(story), _deciders(story)), buttons])


def review(story: RunView, samples: PlanPreview) -> dict[str, object]:
    """The modal in which a run is approved."""
    plan = story.run.plan or RunPlan()
    blocks: list[Block] = [
        section(f"*{story.what}*\n{_numbers(plan)}. Nothing has been sent yet."),
        *_details(story),
        *_samples(samples),
        divider(),
        _comment_field(),
    ]
    return modal(
        "Review this sync",
        blocks,
        callback=ApprovalCallback.REVIEW,
        submit="Approve",
        close="Not now",
        metadata=Decision(run_id=story.run.id),
    )


def decline(story: RunView) -> dict[str, object]:
    """The modal in which a run is declined."""
    plan = story.run.plan or RunPlan()
    blocks: list[Block] = [
        section(f"*{story.what}*\n{_numbers(plan)}. If you decline, nothing is sent."),
        _comment_field(),
    ]
    return modal(
        "Decline this sync",
        blocks,
        callback=ApprovalCallback.DECLINE,
        submit="Decline",
        close="Not now",
        metadata=Decision(run_id=story.run.id),
    )


def too_late(run: Run) -> dict[str, object]:
    """What somebody sees who wants to decide on what is decided."""
    return notice("Already decided", already(run))


def already(run: Run) -> str:
    """Who decided on a run, or what became of it (mrkdwn)."""
    if run.decided_by is not None and run.decided_at is not None:
        verb = "declined" if run.status is RunStatus.CANCELLED and run.error == "Declined." else "approved"
        said = f" “{comment(run.comment)}”" if run.comment else ""
        return f"{person(run.decided_by)} {verb} this, {moment(run.decided_at)}.{said}"
    if run.status is RunStatus.CANCELLED:
        return "This sync was cancelled, so there is nothing to decide any more."
    return "This sync does not wait for approval any more."


def not_allowed(why: str) -> dict[str, object]:
    """What somebody sees who may not decide. `why` is mrkdwn, a sentence of ours."""
    return notice("Not yours to decide", why)


def working() -> dict[str, object]:
    """What is seen while a decision is written down."""
    return notice("One moment", "Your decision is being recorded.")


def decided(approved: bool) -> dict[str, object]:
    """What is seen where the modal could not be closed."""
    if approved:
        return notice("Approved", "The sync goes on; its message in the channel shows how far it is.")
    return notice("Declined", "Nothing is sent.")


def ask(story: RunView) -> Message:
    """The reply that calls those who may decide."""
    may = approvers(story)
    if not may:
        text = (
            f"Nobody can approve this: {escape(story.connection.label)} has no approver other than who asked for it. "
            "An admin can name another in the connection's settings."
        )
    else:
        text = f"{' '.join(person(each) for each in may)}: please review this sync."
    return Message(text, [section(text)])


def reminder(story: RunView) -> Message:
    """The reply that calls them again."""
    since = story.run.finished_at or story.run.created_at
    may = " ".join(person(each) for each in approvers(story)) or "Nobody can approve this yet"
    text = f"{may}: this sync still waits for approval, since {moment(since)}."
    return Message(text, [section(text)])


def approvers(story: RunView) -> list[str]:
    """Who may decide on a run."""
    connection, run = story.connection, story.run
    return [each for each in connection.approvers if why_not_approve(connection, each, run.started_by) is None]


def _numbers(plan: RunPlan) -> str:
    return f"{plan.to_add:,} to add, {plan.to_update:,} to update, {plan.to_remove:,} to remove"


def _details(story: RunView) -> list[Block]:
    plan = story.run.plan or RunPlan()
    pairs = [
        ("To add", number(plan.to_add)),
        ("To update", number(plan.to_update)),
        ("To remove", _removals(plan)),
        ("Unchanged", number(plan.unchanged)),
        ("Rejected", number(plan.rejected)),
    ]
    if plan.duplicates:
        pairs.append(("Same person as another member", number(plan.duplicates)))
    pairs += [("Members in the audience", number(plan.members)), ("Takes", _time(plan, story.run.rate))]
    blocks: list[Block] = list(fields(pairs))
    if plan.guards:
        sentences = "\n".join(f"• {reason(guard.message)}{_check(guard.name)}" for guard in plan.guards)
        blocks.append(section(f"*Why this is asked*\n{sentences}"))
    blocks += causes(story)
    if plan.to_add or plan.to_update:
        blocks.append(section(f"*Before you approve:* {JOURNEYS}"))
    if not story.run.undo_of:
        blocks.append(context(_MODES[story.run.mode]))
    return blocks


def _check(guard: GuardName) -> str:
    return f" _{_CHECKS[guard]}_" if guard in _CHECKS else ""


def _removals(plan: RunPlan) -> str:
    if not plan.to_remove or not plan.ledger_size:
        return number(plan.to_remove)
    synced = f"{number(plan.ledger_size)} that were synced before"
    return f"{number(plan.to_remove)} ({share(plan.to_remove, plan.ledger_size)} of the {synced})"


def _time(plan: RunPlan, rate: float) -> str:
    if not plan.requests:
        return "nothing is to be sent"
    pace = f"at {rate:g} a second" if rate else "without a rate limit"
    return f"about {duration(max(plan.seconds, 1.0))}: {plural(plan.requests, 'request')} {pace}"


def _deciders(story: RunView) -> str:
    may = approvers(story)
    return f"Can be decided by {', '.join(person(each) for each in may)}" if may else "Nobody can approve this yet"


def _samples(samples: PlanPreview) -> list[Block]:
    kinds = [("added", samples.added), ("updated", samples.updated), ("removed", samples.removed)]
    texts = [f"*Would be {kind}, for example*\n{_names(names)}" for kind, names in kinds if names]
    if samples.rejected:
        texts.append("*Rejected, for example*\n" + "\n".join(dict.fromkeys(map(_rejected, samples.rejected))))
    return [section(text) for text in texts]


def _names(names: Sequence[str]) -> str:
    return "\n".join(f"• {mask(each)}" for each in names)


def _rejected(one: Rejection) -> str:
    name = one.email or one.customer_id or one.member_key or "somebody"
    return f"• {mask(name)}: {escape(explain(one.reason).meaning)}"


def mask(name: str) -> str:
    """An address or an id of which only the beginning is seen (mrkdwn)."""
    return escape(masked(name) if "@" in name else f"{name[:1]}***")


def _comment_field() -> Block:
    element = PlainTextInputElement(action_id=BlockId.COMMENT, multiline=True, max_length=COMMENT_MAX)
    return field_of("Comment", BlockId.COMMENT, element, hint="Seen by everybody in the channel.", optional=True)
