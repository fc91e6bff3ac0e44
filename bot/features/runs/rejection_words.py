"""Rejected people in words: one line for a message, and the details for a modal (mrkdwn). Pure functions."""

from collections.abc import Mapping, Sequence

from slack_sdk.models.blocks import Block

from bot.features.runs.run_view import RunView
from bot.ui.blocks import section
from bot.ui.formatting import escape, number, plural, rejected_words
from core.models.run import RunStatus
from core.reporting.rejection_reasons import explain

# The most characters of reasons in one section, and the most reasons in one line.
CAUSES_MAX = 2800
MOST_IN_A_LINE = 3


def rejected_line(view: RunView) -> str:
    """Return how many people can't be synced or were not, and the most frequent reasons, on one line; "" if all were.

    After a sync it says how many more those are than its preview predicted.
    """
    by_reason = view.report.rejected_by_reason
    count = sum(by_reason.values())
    if not count:
        return ""
    is_planned = view.run.status in (RunStatus.NEEDS_APPROVAL, RunStatus.PLANNED)
    text = f"{plural(count, 'person', 'people')} can't be synced" if is_planned else rejected_words(count)
    plan = view.run.plan
    if view.run.status is RunStatus.SUCCEEDED and plan is not None and count > plan.rejected:
        text += f" - {number(count - plan.rejected)} more than predicted"
    return f"{text}: {_most_frequent(by_reason)}."


def advice_lines(view: RunView) -> str:
    """Return what to do about the rejected people of a sync: for reasons that the sync before did not have."""
    by_reason = view.report.rejected_by_reason
    if not by_reason:
        return ""
    before: Mapping[str, int] = view.previous.by_reason if view.previous is not None else {}
    new = [code for code in _by_count(by_reason) if code not in before][:MOST_IN_A_LINE]
    if not new:
        return "Same reasons as last time."
    return "\n".join(f"• _People {explain(code).short}: {escape(_lower(explain(code).remedy))}_" for code in new)


def causes(by_reason: Mapping[str, int], *, is_planned: bool = False) -> list[Block]:
    """Return the number of rejected people by reason, with meaning and remedy. `is_planned`: nothing was sent yet."""
    if not by_reason:
        return []
    count = sum(by_reason.values())
    texts = [f"*{plural(count, 'person', 'people')} can't be synced*" if is_planned else f"*{rejected_words(count)}*"]
    for code in _by_count(by_reason):
        explanation = explain(code)
        line = f"• *{number(by_reason[code])}*: {escape(explanation.meaning)}\n_{escape(explanation.remedy)}_"
        if len(texts[-1]) + len(line) > CAUSES_MAX:
            texts.append(line)
        else:
            texts[-1] += f"\n{line}"
    return [section(text) for text in texts]


def _lower(sentence: str) -> str:
    """Return a sentence for the middle of another one."""
    return sentence[0].lower() + sentence[1:]


def _most_frequent(by_reason: Mapping[str, int]) -> str:
    codes = _by_count(by_reason)
    shown = [f"{number(by_reason[code])} {explain(code).short}" for code in codes[:MOST_IN_A_LINE]]
    if rest := sum(by_reason[code] for code in codes[MOST_IN_A_LINE:]):
        shown.append(f"{number(rest)} for other reasons")
    return ", ".join(shown)


def _by_count(by_reason: Mapping[str, int]) -> Sequence[str]:
    return sorted(by_reason, key=lambda code: (-by_reason[code], code))
