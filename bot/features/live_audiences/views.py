"""What is said of live audiences: removals that wait, an audience that was disconnected, and what a day brought."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from slack_sdk.models.blocks import Block

from bot.features.ids import RunAction
from bot.features.live_audiences import buttons
from bot.features.permissions import deciders
from bot.ui.blocks import Message, actions, button, context, fields, section
from bot.ui.formatting import cut, escape, moment, number, person, plural, rejected_words
from core.reporting.rejection_reasons import explain
from core.store.audit_log import AuditEntry
from core.store.connections import Connection
from core.store.live_mappings import LiveStatus
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus

NAME_MAX = 150
# Reasons that a digest names; there are hardly more.
MOST_REASONS = 10


@dataclass(frozen=True, slots=True)
class LiveAudience:
    """A mapping that mParticle feeds, with what is told of it.

    `removals` is how many removals wait for approval, `members` how many people it has put on its list, `entries` what
    was done to it, oldest first.
    """

    mapping: AudienceMapping
    connection: Connection
    list_name: str | None
    removals: int = 0
    members: int = 0
    entries: Sequence[AuditEntry] = field(default_factory=tuple)

    @property
    def audience(self) -> str:
        """What a person calls the audience (mrkdwn)."""
        return escape(cut(self.mapping.label, NAME_MAX))

    @property
    def target(self) -> str:
        """What a person calls the list (mrkdwn)."""
        if self.mapping.list_id == NO_LIST:
            return "no list yet"
        name = f"“{escape(cut(self.list_name, NAME_MAX))}” " if self.list_name else ""
        return f"list {name}({self.mapping.list_id})" if name else f"list {self.mapping.list_id}"

    @property
    def what(self) -> str:
        """What it is about (mrkdwn): the audience and the list."""
        return f"{self.audience} to {self.target}"


def removals(fed: LiveAudience) -> Message:
    """That people have left and wait to be taken off."""
    text = f"{plural(fed.removals, 'removal waits', 'removals wait')} for approval: {fed.what}."
    body = (
        f"*{plural(fed.removals, 'removal waits', 'removals wait')} for approval: {fed.what}*\n"
        "They have left the audience in mParticle, and stay on the list until an approver approves."
    )
    approve = buttons.approve_removals(fed.mapping, fed.removals)
    return Message(text, [section(body), context(deciders(fed.connection)), actions(approve)])


def removals_outcome(fed: LiveAudience, since: float) -> Message:
    """What became of removals that waited."""
    entry = _last(fed, since, "removals_approved", "dropped", "members")
    if entry is not None and "removals_approved" in (entry.after or {}):
        count = int((entry.after or {})["removals_approved"])
        text = f"{plural(count, 'removal')} approved by {person(entry.actor)}, {moment(entry.at)}: {fed.what}."
    elif entry is not None and "dropped" in (entry.after or {}):
        text = f"{person(entry.actor)} dropped what waited, {moment(entry.at)}: {fed.what}."
    else:
        text = f"No removals wait any more: {fed.what}."
    return Message(text, [section(text)])


def disconnected(fed: LiveAudience) -> Message:
    """That mParticle sends no more of an audience, and the question what becomes of those whom it put on the list."""
    text = f"mParticle disconnected the audience {fed.audience}. "
    if not fed.members:
        text += f"Nobody whom it put on {fed.target} is left there, so there is nothing to decide."
        return Message(text, [section(text), context(_since(fed))])
    text += f"What should become of the {plural(fed.members, 'person', 'people')} that it put on {fed.target}?"
    body = (
        f"*mParticle disconnected the audience {fed.audience}*\nNo more changes come, and it is paused. "
        f"What should become of the {plural(fed.members, 'person', 'people')} that it put on {fed.target}? Until "
        "somebody decides, they stay."
    )
    row = actions(buttons.keep(fed.mapping), buttons.remove(fed.mapping))
    return Message(text, [section(body), context(_since(fed), deciders(fed.connection)), row])


def disconnected_outcome(fed: LiveAudience, since: float) -> Message:
    """What became of the members of an audience that was disconnected, and who decided."""
    entry = _last(fed, since, "members")
    begin = f"mParticle disconnected the audience {fed.audience}."
    if entry is None:
        text = f"mParticle connected the audience {fed.audience} again, before anybody decided about its members."
        return Message(text, [section(text)])
    if (entry.after or {})["members"] == "kept":
        what = f"{person(entry.actor)} decided: its members stay on {fed.target}."
    else:
        what = f"{person(entry.actor)} decided: its members are taken off {fed.target}."
    return Message(f"{begin} {what}", [section(f"{begin}\n*{what}*"), context(moment(entry.at))])


def digest(fed: LiveAudience, day: str, status: LiveStatus) -> Message:
    """What a day brought."""
    changes = plural(status.changes_today, "change")
    done = f"{number(status.added)} added, {number(status.updated)} updated, {number(status.removed)} removed"
    rejected = f", {number(status.rejected)} rejected" if status.rejected else ""
    text = f"{day}: {changes} from mParticle, {done}{rejected}. {fed.what}."
    pairs = [
        ("Changes from mParticle", number(status.changes_today)),
        ("Added", number(status.added)),
        ("Updated", number(status.updated)),
        ("Removed", number(status.removed)),
        ("Rejected", number(status.rejected)),
        ("On the way now", number(status.backlog)),
    ]
    if status.waiting:
        pairs.append(("Waiting for approval", number(status.waiting)))
    blocks: list[Block] = [
        section(f"*{day} (UTC): {fed.what}*\n{changes} from mParticle, {done}{rejected}."),
        *fields(pairs),
    ]
    reasons = sorted(status.rejected_by_reason.items(), key=lambda each: -each[1])[:MOST_REASONS]
    if reasons:
        heading = f"*{rejected_words(status.rejected)}*: why, and _what to do about it_"
        blocks.append(section("\n".join([heading, *(_reason(code, count) for code, count in reasons)])))
    run = f" · run {status.run_id}" if status.run_id else ""
    blocks.append(context(f"connection {escape(fed.connection.label)}{run}"))
    if status.rejected and status.run_id:
        label = f"The rejected users of {fed.mapping.label}"
        blocks.append(actions(button("Rejected users", RunAction.REJECTED, status.run_id, label=label)))
    return Message(text, blocks)


def refused_now(mapping: AudienceMapping) -> str:
    """Why nothing of a mapping can be dropped, in a sentence."""
    if mapping.status is MappingStatus.ACTIVE:
        return (
            f"{mapping.label} is approved, so what waited is on its way to the list. Pause it first to drop what waits."
        )
    return f"Nothing waits for {mapping.label} any more."


def _reason(code: str, count: int) -> str:
    known = explain(code)
    return f"• *{number(count)}*: {escape(known.meaning)}\n_{escape(known.remedy)}_"


def _since(fed: LiveAudience) -> str:
    at = fed.mapping.disconnected_at
    return f"Disconnected {moment(at)}" if at is not None else "Disconnected"


def _last(fed: LiveAudience, since: float, *names: str) -> AuditEntry | None:
    """The latest of what was done since a moment that has one of these in it."""
    for entry in reversed(fed.entries):
        if entry.at >= since and any(name in (entry.after or {}) for name in names):
            return entry
    return None
