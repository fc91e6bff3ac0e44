"""The endpoints that change one person: their error answers, and when they take effect.

Iterable documents (at users/bulkUpdate, where it names updateEmail) that it processes single-user and bulk calls
separately: for a person, in a short time, only one of the two kinds should be used. With the setting
`single_calls_after`, a single-user call is accepted at once and takes effect later, so that a bulk call for the same
person comes first. Single-user calls keep their order. That subscribe and unsubscribe are bulk calls in this sense is
our inference.
"""

from __future__ import annotations

from typing import Final, Protocol

from sandbox.iterable import scripted_outcomes
from sandbox.iterable.answers import REFUSALS
from sandbox.iterable.request import Call
from sandbox.iterable.responses import Answer, ApiError, bad_params
from sandbox.iterable.scripted_outcomes import Failure

_REFUSALS: Final = {
    "invalidEmails": "400 InvalidEmailAddressError",
    "invalidUserIds": "400 InvalidUserIdError",
    "forgottenEmails": "409 ForgottenUserError",
    "forgottenUserIds": "409 ForgottenUserError",
    "conflictEmails": "409 EmailAlreadyExists",
    "conflictUserIds": "409 UserIdAlreadyExists",
    "notFoundEmails": "400 UnknownEmailError",
    "notFoundUserIds": "400 UnknownUserIdError",
    "invalidDataEmails": "400 validationErrors",
    "invalidDataUserIds": "400 validationErrors",
}


class Change(Protocol):
    """A change of one person. Raises the ApiError that refuses it; changes something only if it is applied."""

    def __call__(self, *, is_applied: bool) -> None:
        """Check the change, and make it if it is to be applied."""


def apply(call: Call, change: Change) -> Answer:
    """Answer a single-user call, and let it take effect now or later. Raises the ApiError that refuses it."""
    after = call.state.settings.single_calls_after
    if after <= 0:
        change(is_applied=True)
        return success()
    call.project.apply_waiting()
    change(is_applied=False)
    call.project.waiting.append((call.at + after, lambda: change(is_applied=True)))
    return success()


def refuse(failure: Failure | None) -> None:
    """Raise the error of a failure, if there is one."""
    if failure is not None:
        raise refusal(failure)


def refusal(failure: Failure) -> ApiError:
    """Return the error of the single-user endpoints for a failure."""
    if failure.bucket == scripted_outcomes.CRASH:
        return REFUSALS["500"].error(failure.value)
    if failure.bucket not in _REFUSALS:
        return bad_params(scripted_outcomes.POISONED)
    return REFUSALS[_REFUSALS[failure.bucket]].error(failure.value)


def success() -> Answer:
    """Return the answer of a single-user endpoint that did what it was asked."""
    return Answer.message("", "Success")
