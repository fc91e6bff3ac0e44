"""The answers of `why`. They contain addresses, so they are shown to one person only."""

from collections.abc import Sequence

from slack_sdk.models.blocks import Block

from bot.ui.blocks import Message, context, divider, section, text_message
from bot.ui.formatting import cut, escape, moment, person, plural
from bot.ui.membership import state_of, what_iterable_says
from core.reporting.member_lookup import MemberFinding, MemberReport
from core.reporting.rejection_reasons import explain
from core.store.connections import Connection

# The number of audiences in one answer; each takes one of the 50 blocks of a message.
MOST_SHOWN = 40
_NAME_MAX = 80
_SAID_MAX = 1500
# The answer repeats at most this many characters of the typed text.
_TYPED_MAX = 320

USAGE = Message(
    "Who? Type `/iterable-sync why` and an email address, a customer id or an mpid.",
    [
        section(
            "*Who?* Type `/iterable-sync why` and an email address, a customer id or an mpid. "
            "For example: `/iterable-sync why ann@example.com`."
        ),
        context("Only you see the answer."),
    ],
)


def refused(connections: Sequence[Connection]) -> Message:
    """Return the refusal, with the people who may look others up."""
    names = ", ".join(escape(each.label) for each in connections)
    asked = sorted({who for each in connections for who in (*each.operators, *each.approvers)})
    text = f"You can't look people up. Only named operators and approvers of a connection can ({names})."
    if asked:
        text += f" Ask one of them: {', '.join(person(each) for each in asked)}."
    else:
        text += " None is named yet. An admin names them with *Edit* on the Home page."
    return text_message(text)


def answer(typed: str, report: MemberReport, left_out: Sequence[Connection]) -> Message:
    """Return the lists that the person is on, by the ledger and by Iterable, and the latest rejections."""
    findings = report.findings
    person_text = f"`{escape(cut(typed, _TYPED_MAX)).replace('`', '')}`"
    blocks: list[Block] = [section(_headline(person_text, findings))]
    if not findings:
        blocks += [section(_NOTHING_MEANS)]
    for each in findings[:MOST_SHOWN]:
        blocks += [section(_one(each))]
    if len(findings) > MOST_SHOWN:
        blocks += [section(f"And {len(findings) - MOST_SHOWN:,} more.")]
    if remarks := what_iterable_says(report.answers):
        blocks += [context(escape(cut(remarks, _SAID_MAX)))]
    if left_out:
        names = ", ".join(escape(each.label) for each in left_out)
        blocks += [context(f"Not included, because you can't look people up there: {names}.")]
    blocks += [
        divider(),
        context("Only you see this. Lookups are logged, but not who you searched for."),
    ]
    return Message(_headline(person_text, findings), blocks)


_NOTHING_MEANS = (
    "*What that may mean*\n"
    "• They are in no audience that is synced here, or have left it.\n"
    "• Another tool added them: look them up in Iterable.\n"
    "• mParticle spells the address differently: try the customer id or the mpid.\n"
    "• They were rejected so long ago that the record has expired."
)


def _headline(person_text: str, findings: Sequence[MemberFinding]) -> str:
    on_lists = len(
        {
            (finding.mapping.connection_id, finding.mapping.list_id)
            for finding in findings
            if (finding.identity is not None and finding.is_on_list is not False) or finding.is_on_list
        }
    )
    rejected = len({finding.mapping.id for finding in findings if finding.reason is not None})
    if not findings:
        return f"No record of {person_text}."
    parts = [f"on {plural(on_lists, 'list')}"] if on_lists else ["on no list that is synced here"]
    if rejected:
        parts.append(f"last rejected in {plural(rejected, 'audience')}")
    return f"{person_text}: {', '.join(parts)}."


def _one(finding: MemberFinding) -> str:
    mapping = finding.mapping
    audience, name = escape(cut(mapping.label, _NAME_MAX)), escape(cut(finding.list_name, _NAME_MAX))
    lines = [f"*{audience}* → *{name}* (list {mapping.list_id})"]
    lines.append(state_of(finding, _identity(finding)))
    if finding.change is not None:
        what = "added to the list" if finding.change.is_added else "removed from the list"
        lines.append(f"Last {what} by run `{finding.change.run_id}`, {moment(finding.change.at)}.")
    if finding.reason is not None:
        explanation = explain(finding.reason)
        lines += [
            f"*Last rejected{_run(finding)}:* {explanation.meaning}",
            f"*What you can do:* {_lower(explanation.remedy)}",
        ]
    return "\n".join(lines)


def _lower(sentence: str) -> str:
    return f"{sentence[0].lower()}{sentence[1:]}"


def _identity(finding: MemberFinding) -> str:
    email, user_id = finding.identity or (None, None)
    parts = [f"`{escape(email)}`"] if email else []
    parts += [f"user id `{escape(user_id)}`"] if user_id else []
    return ", ".join(parts)


def _run(finding: MemberFinding) -> str:
    when = f", {moment(finding.when)}" if finding.when else ""
    return f" (run `{finding.run}`{when})" if finding.run else when
