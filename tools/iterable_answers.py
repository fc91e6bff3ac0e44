"""Write docs/reference/iterable-answers.md, which a test holds against the code: `python -m tools.iterable_answers`."""

from pathlib import Path

from core.iterable.answers import ANSWERS, FAILED_UPDATES, Action, Answer
from core.iterable.models import FailureReason
from core.reporting.rejection_reasons import explain

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "iterable-answers.md"

_HEAD = """\
# Iterable's answers

What each answer of Iterable means, what the program does then, what it says, and what you can do. The program goes
through the first table from top to bottom and takes the first row that fits. `python -m tools.iterable_answers` writes
this page from the same rows.

Sources: *D* documented by Iterable, *O* observed in public code or tests of other integrations, *I* our inference.

## A request

| answer | recognized by | class | what we do | what we say | what you can do | source |
|---|---|---|---|---|---|---|
"""
_MEMBERS = """
## A member

An answer 200 to subscribe and unsubscribe names the members that failed, in `failedUpdates`. If a request is refused
for a single member, that member gets one of the same reasons.

| list in `failedUpdates` | reason | what it means | what you can do |
|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    requests = "".join(f"{_request(answer)}\n" for answer in ANSWERS)
    members = "".join(
        f"| `{name}Emails`, `{name}UserIds` | {_reasons(reason)} | {explain(reason).meaning} "
        f"| {explain(reason).remedy} |\n"
        for name, reason in FAILED_UPDATES.items()
    )
    return _HEAD + requests + _MEMBERS + members


def _request(answer: Answer) -> str:
    cells = (
        answer.name,
        _recognized(answer),
        f"`{answer.error.code}`" if answer.error else "",
        answer.action.value,
        *_words(answer),
        answer.source,
    )
    return f"| {' | '.join(cells)} |"


def _recognized(answer: Answer) -> str:
    ranges = [f"{low}" if low == high else f"{low} to {high}" for low, high in answer.statuses]
    conditions = [f"status {' or '.join(ranges)}"] if ranges else []
    if answer.codes:
        conditions.append(f"code {' or '.join(f'`{code}`' for code in sorted(answer.codes))}")
    if answer.words is not None:
        conditions.append(f"`msg` matches `{answer.words.pattern}`".replace("|", "\\|"))
    if answer.is_json is not None:
        conditions.append("the body is a JSON object" if answer.is_json else "the body is no JSON object")
    if answer.has_key is not None:
        conditions.append(f"the body has `{answer.has_key}`")
    if answer.about_list:
        conditions.append("the request is about a list")
    return ", ".join(conditions) or "it is missing, broken off or of another form"


def _words(answer: Answer) -> tuple[str, str]:
    if answer.action is Action.SPLIT and answer.failure is not None:
        return f"`{answer.failure.value}`: {explain(answer.failure).meaning}", explain(answer.failure).remedy
    if answer.error is None:
        return "", ""
    return _plain(answer.error.says), _plain(answer.error.remedy)


def _reasons(reason: FailureReason) -> str:
    if reason is FailureReason.INVALID_EMAIL:
        return f"`{reason.value}`, `{FailureReason.INVALID_USER_ID.value}`"
    return f"`{reason.value}`"


def _plain(sentence: str) -> str:
    return sentence.format(answer="", list_id="N")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
