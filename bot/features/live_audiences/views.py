"""The messages of live audiences: removals that wait, a disconnected audience, the digest of a day."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from slack_sdk.models.blocks import Block

from bot.features.ids import RunAction
from bot.features.live_audiences import buttons
from bot.features.permissions import deciders
from bot.ui.blocks import Message, actions, button, context, section, text_message
from bot.ui.formatting import changes, cut, escape, moment, number, person, plural, rejected_words
from core.reporting.rejection_reasons import explain
from core.store.audit_log import AuditEntry
from core.store.connections import Connection
from core.store.live_mappings import LiveStatus
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus

NAME_MAX = 150
# The number of rejection reasons that a digest lists.
MOST_REASONS = 10


@dataclass(frozen=True, slots=True)
class LiveAudience:
    """A live mapping with the data of its messages.

    `removals` is the number of removals that wait for approval, `members` the number of people that the mapping has on
    its list. `entries` are its audit entries, oldest first.
    """

    mapping: AudienceMapping
    connection: Connection
    list_name: str | None
    removals: int = 0
    members: int = 0
    entries: Sequence[AuditEntry] = field(default_factory=tuple)

    @property
    def name(self) -> str:
        """The audience (mrkdwn)."""
        return escape(cut(self.mapping.label, NAME_MAX))

    @property
    def target(self) -> str:
        """The list (mrkdwn)."""
        if self.mapping.list_id == NO_LIST:
            return "no list yet"
        return escape(cut(self.list_name, NAME_MAX)) if self.list_name else f"list {self.mapping.list_id}"

    @property
    def what(self) -> str:
        """The audience and the list (mrkdwn)."""
        return f"{self.name} → {self.target}"


def removals(audience: LiveAudience) -> Message:
    """Return the question whether to approve removals."""
    text = f"{plural(audience.removals, 'removal waits', 'removals wait')} for approval: {audience.what}."
    body = (
        f":raised_hand: *{plural(audience.removals, 'removal waits', 'removals wait')} for approval: {audience.what}*\n"
        "They left the audience in mParticle, and stay on the list until an approver approves."
    )
    approve = buttons.approve_removals(audience.mapping, audience.removals)
    return Message(text, [section(body), context(deciders(audience.connection)), actions(approve)])


def removals_outcome(audience: LiveAudience, since: float) -> Message:
    """Return the outcome of the question about removals. `since` is when it was posted."""
    entry = _last(audience, since, "removals_approved", "dropped", "members")
    if entry is not None and "removals_approved" in (entry.after or {}):
        count = int((entry.after or {})["removals_approved"])
        text = f"{plural(count, 'removal')} approved by {person(entry.actor)}, {moment(entry.at)}: {audience.what}."
    elif entry is not None and "dropped" in (entry.after or {}):
        text = f"{person(entry.actor)} discarded pending changes, {moment(entry.at)}: {audience.what}."
    else:
        text = f"No removals wait: {audience.what}."
    return text_message(text)


def disconnected(audience: LiveAudience) -> Message:
    """Return the question what to do with the people of a disconnected audience."""
    head = f"mParticle disconnected {audience.name}"
    if not audience.members:
        text = f"{head}. No one that it added is left on {audience.target}, so there is nothing to decide."
        return Message(text, [section(text), context(_since(audience))])
    people = plural(audience.members, "person", "people")
    question = f"Keep or remove the {people} it added to {audience.target}?"
    body = f":raised_hand: *{head}*\n{question} They stay until an approver decides. The mapping is paused."
    row = actions(buttons.keep(audience.mapping), buttons.remove(audience.mapping))
    return Message(
        f"{head}. {question}", [section(body), context(_since(audience), deciders(audience.connection)), row]
    )


def disconnected_outcome(audience: LiveAudience, since: float) -> Message:
    """Return the decision about the members. `since` is when the question was posted."""
    entry = _last(audience, since, "members")
    introduction = f"mParticle disconnected {audience.name}."
    if entry is None:
        text = f"mParticle connected {audience.name} again before anyone decided about its people."
        return text_message(text)
    if (entry.after or {})["members"] == "kept":
        decision = f"{person(entry.actor)} decided: its people stay on {audience.target}."
    else:
        decision = f"{person(entry.actor)} decided: its people are removed from {audience.target}."
    return Message(f"{introduction} {decision}", [section(f"{introduction}\n*{decision}*"), context(moment(entry.at))])


def digest(audience: LiveAudience, day: str, status: LiveStatus, time_zone: str = "UTC") -> Message:
    """Return the digest of a day, which began at midnight in a time zone."""
    outcomes = changes(
        added=status.added,
        updated=status.updated,
        removed=status.removed,
        without_effect=status.unchanged,
        rejected=status.rejected,
        waiting_for_approval=status.waiting,
        on_the_way=status.backlog,
    )
    numbers = f"{plural(status.changes_today, 'change')} from mParticle: {outcomes or 'none to sync'}"
    text = f"{day}: {numbers}. {audience.what}."
    blocks: list[Block] = [section(f"*{audience.what}* · {day} ({time_zone})\n{numbers}.")]
    reasons = sorted(status.rejected_by_reason.items(), key=lambda each: -each[1])[:MOST_REASONS]
    if reasons:
        heading = f"*{rejected_words(status.rejected)}*"
        blocks.append(section("\n".join([heading, *(_reason(code, count) for code, count in reasons)])))
    run = f" · run {status.run_id}" if status.run_id else ""
    blocks.append(context(f"connection {escape(audience.connection.label)}{run}"))
    if status.rejected and status.run_id:
        label = f"See why: {audience.mapping.label}"
        blocks.append(actions(button("See why", RunAction.SEE_WHY, status.run_id, label=label)))
    return Message(text, blocks)


def refused_now(mapping: AudienceMapping) -> str:
    """Return why the pending changes of a mapping can't be discarded, in a sentence."""
    if mapping.status is MappingStatus.ACTIVE:
        return (
            f"{mapping.label} is approved, so its changes are being synced. Pause it first to discard pending changes."
        )
    return f"Nothing waits for {mapping.label}."


def _reason(code: str, count: int) -> str:
    explanation = explain(code)
    return f"• *{number(count)}*: {escape(explanation.meaning)}\n_{escape(explanation.remedy)}_"


def _since(audience: LiveAudience) -> str:
    at = audience.mapping.disconnected_at
    return f"Disconnected {moment(at)}" if at is not None else "Disconnected"


def _last(audience: LiveAudience, since: float, *names: str) -> AuditEntry | None:
    """Return the latest audit entry since a time whose details contain one of these names."""
    for entry in reversed(audience.entries):
        if entry.at >= since and any(name in (entry.after or {}) for name in names):
            return entry
    return None
