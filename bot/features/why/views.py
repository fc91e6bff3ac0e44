"""Why a person is on a list, or is not, as it looks. Shown to one person only: addresses appear here."""

from collections.abc import Sequence

from slack_sdk.models.blocks import Block

from bot.ui.blocks import Message, context, divider, section
from bot.ui.formatting import cut, escape, moment, person, plural
from core.reporting.member_lookup import MemberFinding
from core.reporting.rejection_reasons import explain
from core.store.connections import Connection

# Audiences that one answer shows: each is a block of the 50 that a message has.
MOST_SHOWN = 40
_NAME_MAX = 80
# What was typed, as the answer repeats it.
_TYPED_MAX = 320

USAGE = Message(
    "Whom? Type `/iterable-sync why` and an email address, a customer id or an mpid.",
    [
        section(
            "*Whom?* Type `/iterable-sync why` and an email address, a customer id or an mpid, for example "
            "`/iterable-sync why ann@example.com`."
        ),
        context("The answer is shown to you alone."),
    ],
)


def refused(connections: Sequence[Connection]) -> Message:
    """Say that a person may not look people up, and whom to ask."""
    names = ", ".join(escape(each.label) for each in connections)
    asked = sorted({who for each in connections for who in (*each.operators, *each.approvers)})
    text = f"You may not look people up: only operators and approvers of a connection may ({names})."
    if asked:
        text += f" Ask one of them: {', '.join(person(each) for each in asked)}."
    return Message(text, [section(text)])


def answer(typed: str, findings: Sequence[MemberFinding], left_out: Sequence[Connection]) -> Message:
    """Where the person is, under which identity, and what came of it last."""
    who = f"`{escape(cut(typed, _TYPED_MAX)).replace('`', '')}`"
    blocks: list[Block] = [section(_headline(who, findings))]
    if not findings:
        blocks += [section(_NOTHING_MEANS)]
    for each in findings[:MOST_SHOWN]:
        blocks += [section(_one(each))]
    if len(findings) > MOST_SHOWN:
        blocks += [section(f"And {len(findings) - MOST_SHOWN:,} more.")]
    if left_out:
        names = ", ".join(escape(each.label) for each in left_out)
        blocks += [context(f"Left out, because you may not look people up there: {names}.")]
    blocks += [divider(), context("Only you see this. That you looked somebody up is on record, but not whom.")]
    return Message(_headline(who, findings), blocks)


_PERHAPS = "Perhaps on the list (Iterable's answer was lost; the next sync settles it)"
_NOTHING_MEANS = (
    "*What that may mean*\n"
    "• The person is in no audience that is synced here, or left it.\n"
    "• Somebody else put them on the list: look them up in Iterable.\n"
    "• mParticle has the address in another spelling: try the customer id or the mpid.\n"
    "• It was rejected more than 30 days ago: that is how long rejections are kept."
)


def _headline(who: str, findings: Sequence[MemberFinding]) -> str:
    on = len({(it.mapping.connection_id, it.mapping.list_id) for it in findings if it.identity is not None})
    rejected = len({it.mapping.id for it in findings if it.reason is not None})
    if not findings:
        return f"Nothing is known here about {who}."
    said = [f"on {plural(on, 'list')}"] if on else ["on no list that is synced here"]
    if rejected:
        said.append(f"rejected last in {plural(rejected, 'audience')}")
    return f"{who}: {', '.join(said)}."


def _one(finding: MemberFinding) -> str:
    mapping = finding.mapping
    audience, name = escape(cut(mapping.label, _NAME_MAX)), escape(cut(finding.list_name, _NAME_MAX))
    lines = [f"*{audience}* to *{name}* (list {mapping.list_id})"]
    if finding.identity is not None:
        on = "On the list" if finding.certain else _PERHAPS
        lines.append(f"{on}, as {_identity(finding)}.")
    else:
        lines.append("Not on the list, as far as it is synced here.")
    if finding.reason is not None:
        told = explain(finding.reason)
        lines += [f"*Rejected last{_run(finding)}:* {told.meaning}", f"*What to do:* {told.remedy}"]
    return "\n".join(lines)


def _identity(finding: MemberFinding) -> str:
    email, user_id = finding.identity or (None, None)
    parts = [f"`{escape(email)}`"] if email else []
    parts += [f"user id `{escape(user_id)}`"] if user_id else []
    return ", ".join(parts)


def _run(finding: MemberFinding) -> str:
    when = f", {moment(finding.when)}" if finding.when else ""
    return f" (run `{finding.run}`{when})" if finding.run else when
