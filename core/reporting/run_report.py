"""The report of a run: the same numbers for a terminal, for a program (JSON) and for a spreadsheet (CSV)."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Self

from core.delivery.recorder import UNATTRIBUTED
from core.identity import RejectionReason
from core.iterable.models import FailureReason
from core.models.run import Run, RunPlan, RunStatus
from core.store.personal_data import ERASED
from core.store.rejections import Rejection

CSV_HEADER = ("profile", "email", "customer_id", "reason", "what_it_means")

# Spreadsheets skip these in front of a formula: control characters, spaces of any width, a byte order mark.
_SKIPPED = (
    r"[\x00-\x20\x7f-\xa0\u00ad\u061c\u115f\u1160\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*"
)
# A cell that begins so is a formula to a spreadsheet; the wide signs are to one that is set to an East Asian language.
_SIGN = r"[=+\-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe63\ufe66\ufe6b\u2212]"
_FORMULA = re.compile(rf"{_SKIPPED}{_SIGN}|[\t\r\n]")
# A cell can begin behind each of these too: what a spreadsheet takes for a separator depends on country and settings.
_INNER = re.compile(rf"([,;|\t\r\n\"]{_SKIPPED})(?={_SIGN})")
# But a negative number, as many mpids are, is only a number.
_NEGATIVE = re.compile(r"-[0-9]+")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reason means and what a person can do about it, each a sentence."""

    meaning: str
    remedy: str


EXPLANATIONS: Mapping[str, Explanation] = {
    RejectionReason.NO_EMAIL: Explanation(
        "The profile has no email address.",
        "Collect the address in mParticle, or choose the User ID setting mpid, which gives such a profile a "
        "placeholder address.",
    ),
    RejectionReason.INVALID_EMAIL: Explanation(
        "The email can't be an address: it lacks an @ or a domain, or has white space in it.",
        "Correct the address where it is collected; the next sync takes it.",
    ),
    RejectionReason.INVALID_USER_ID: Explanation(
        "The customer id is not one that Iterable takes: at most 52 plain characters, with no space at the end.",
        "Correct the customer id in mParticle, or choose the User ID setting mpid.",
    ),
    RejectionReason.HASHED_IDENTITY: Explanation(
        "The identity is there only as a hash, and Iterable needs the address itself.",
        "Have mParticle send raw identities to this output.",
    ),
    RejectionReason.NO_IDENTITY: Explanation(
        "The profile has neither an email nor a user id, only device identities for example.",
        "Nothing can be done, unless the person is known elsewhere: then send that identity to mParticle.",
    ),
    FailureReason.INVALID_EMAIL: Explanation(
        "Iterable does not accept the email address.",
        "Look for typing errors in the domain and correct the address where it is collected.",
    ),
    FailureReason.INVALID_USER_ID: Explanation(
        "Iterable does not accept the user id.",
        "Correct the customer id in mParticle.",
    ),
    FailureReason.CONFLICT: Explanation(
        "In Iterable the email and the user id belong to two different people.",
        "Merge the two users in Iterable, or correct the identity in mParticle.",
    ),
    FailureReason.FORGOTTEN: Explanation(
        "The person was forgotten in Iterable (GDPR) and can never be added again.",
        "Nothing can be done: this is final. Take the person out of the audience to stop seeing it.",
    ),
    FailureReason.NOT_FOUND: Explanation(
        "Iterable does not know this user.",
        "Check the project's type in Iterable: one that is based on user ids knows nobody by email alone.",
    ),
    FailureReason.INVALID_DATA: Explanation(
        "Iterable refused this member's data without giving a narrower reason.",
        "Look the member up in Iterable, and sync again.",
    ),
    ERASED: Explanation(
        "The person asked to be forgotten, and mParticle has not sent the person since.",
        "Nothing needs to be done. Who the person is, is not kept here.",
    ),
    UNATTRIBUTED: Explanation(
        "Iterable counted a failure but did not say whose.",
        "Sync again. If it stays, ask Iterable's support, naming the list and the time.",
    ),
}


def explain(reason: str) -> Explanation:
    """Return what a reason means. One that is not known is left to Iterable."""
    return EXPLANATIONS.get(
        reason, Explanation("Iterable did not accept the member.", "Look the member up in Iterable, and sync again.")
    )


@dataclass(slots=True)
class RunReport:
    """What became of a run. The fields are those of the JSON object, in its order.

    Of a run that was only planned (a dry run, or one that waits for approval) `added`, `updated` and `removed` are
    what the plan would do. `run_id` is None where it never came to a run.
    """

    run_id: str | None = None
    status: str = RunStatus.FAILED.value
    mode: str | None = None
    user_id: str | None = None
    list_id: int | None = None
    audience: str | None = None
    members: int = 0
    left: int = 0
    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    duration_s: float = 0.0
    error: str | None = None

    @classmethod
    def of(cls, run: Run, by_reason: Mapping[str, int], now: float | None = None) -> Self:
        """Make the report of a run and of how many it rejected for each reason."""
        counters = run.counters.model_dump()
        error = run.error
        if run.plan is not None and run.status in (RunStatus.PLANNED, RunStatus.NEEDS_APPROVAL):
            counters |= _planned(run.plan)
        if run.plan is not None and run.status is RunStatus.NEEDS_APPROVAL:
            error = " ".join(guard.message for guard in run.plan.guards)
        return cls(
            run_id=run.id,
            status=run.status.value,
            mode=run.mode.value,
            user_id=run.user_id.value,
            list_id=run.list_id,
            audience=run.audience,
            **counters,
            # those of a planning that came to nothing count for nothing
            rejected_by_reason=dict(by_reason) if run.plan is not None else {},
            requests=run.requests,
            retries=run.retries,
            throttled=run.throttled,
            duration_s=_duration(run, now),
            error=error,
        )

    def to_json(self) -> str:
        """Return the JSON object, on one line."""
        return json.dumps(asdict(self))


def csv_row(rejection: Rejection) -> tuple[str, ...]:
    """Return the row of a rejection under CSV_HEADER, harmless to a spreadsheet."""
    cells = (rejection.profile, rejection.email, rejection.customer_id, rejection.reason)
    return (*(_harmless(cell or "") for cell in cells), explain(rejection.reason).meaning)


def _harmless(cell: str) -> str:
    """An apostrophe in front of a formula makes it text."""
    if _NEGATIVE.fullmatch(cell):
        return cell
    text = cell.lstrip("\t\r\n")
    inner = cell[: len(cell) - len(text)] + _INNER.sub(r"\1'", text)
    return f"'{inner}" if _FORMULA.match(cell) else inner


def _planned(plan: RunPlan) -> dict[str, int]:
    return {"added": plan.to_add, "updated": plan.to_update, "removed": plan.to_remove}


def _duration(run: Run, now: float | None) -> float:
    if run.started_at is None:
        return 0.0
    ended = run.finished_at or (time.time() if now is None else now)
    return round(max(0.0, ended - run.started_at - run.waited_s), 3)
