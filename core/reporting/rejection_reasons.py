"""Rejection reasons: the meaning of each, and what a person can do about it."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.identity import RejectionReason
from core.iterable.models import FailureReason
from core.store.rejections import ERASED, EXCLUDED, UNATTRIBUTED


@dataclass(frozen=True, slots=True)
class Explanation:
    """The meaning of a reason, and what a person can do about it, each as a sentence; `short` is the reason in a few
    words, for a list of numbers: "190 without an email address"."""

    meaning: str
    remedy: str
    short: str


EXPLANATIONS: Mapping[str, Explanation] = {
    RejectionReason.NO_EMAIL: Explanation(
        "No email address.",
        "Collect the address in mParticle, or choose the User ID setting mpid, which gives such a profile a "
        "placeholder address.",
        "without an email address",
    ),
    RejectionReason.INVALID_EMAIL: Explanation(
        "Invalid email (missing @ or domain, two dots in a row, or contains spaces or another address).",
        "Correct the address at its source. The next sync includes it.",
        "with an invalid email",
    ),
    RejectionReason.INVALID_USER_ID: Explanation(
        "Invalid customer id (Iterable takes up to 52 plain characters, with no space at the end).",
        "Correct the customer id in mParticle, or choose the User ID setting mpid.",
        "with an invalid customer id",
    ),
    RejectionReason.HASHED_IDENTITY: Explanation(
        "Only a hash of the identity is known, and Iterable needs the address itself.",
        "Have mParticle send raw identities to this output.",
        "known only by a hash",
    ),
    RejectionReason.NO_IDENTITY: Explanation(
        "Neither an email nor a user id, for example only device identities.",
        "Nothing, unless another system knows the person: then send that identity to mParticle.",
        "without an email or user id",
    ),
    RejectionReason.NO_USER_ID: Explanation(
        "No user id, which this userID-based Iterable project needs: no customer id, or no mpid, as the User ID "
        "setting requires.",
        "Collect the customer id in mParticle, or choose the User ID setting mpid, which every profile of mParticle "
        "has. If the project is not userID-based, correct its type at the connection.",
        "without a user id",
    ),
    RejectionReason.SHARED_CUSTOMER_ID: Explanation(
        "Another person has the same customer id and another email.",
        "Give each person a customer id of their own, or leave the column out: then the email alone identifies them.",
        "with another person's customer id",
    ),
    FailureReason.INVALID_EMAIL: Explanation(
        "Iterable refused the email address.",
        "Look for typing errors in the domain, and correct the address at its source.",
        "with an email that Iterable refused",
    ),
    FailureReason.INVALID_USER_ID: Explanation(
        "Iterable refused the user id.",
        "Correct the customer id in mParticle.",
        "with a user id that Iterable refused",
    ),
    FailureReason.CONFLICT: Explanation(
        "In Iterable the email and the user id belong to two different people.",
        "Merge the two users in Iterable, or correct the identity in mParticle.",
        "whose email and user id belong to two different people",
    ),
    FailureReason.FORGOTTEN: Explanation(
        "Deleted under GDPR in Iterable: can't be added again.",
        "This is final. Remove the person from the audience to no longer see this.",
        "deleted under GDPR",
    ),
    FailureReason.NOT_FOUND: Explanation(
        "Iterable does not know this user.",
        "Check that the connection has the project's type: a userID-based project knows no one by email alone.",
        "unknown to Iterable",
    ),
    FailureReason.INVALID_DATA: Explanation(
        "Iterable refused this person's data, or would refuse it: a data field has a value of another type than the "
        "field has in the project.",
        "Correct the value of the field that the file of rejections names, or remove the field from the mapping's data "
        "fields. If none is named, look the person up in Iterable, and sync again.",
        "with data that Iterable refuses",
    ),
    FailureReason.ERROR: Explanation(
        "Iterable answered with an error of its own (500) for this person alone, even after several attempts.",
        "Look the person up in Iterable. If nothing is wrong there, ask Iterable's support. The next sync tries again.",
        "with an error in Iterable",
    ),
    ERASED: Explanation(
        "The person asked to be forgotten, and mParticle has not sent the person since.",
        "Nothing needs to be done. The identity of the person is not kept here.",
        "who asked to be forgotten",
    ),
    EXCLUDED: Explanation(
        "An exclusion of the mapping keeps the person off the list.",
        "Nothing needs to be done. If the person should be on the list, change the exclusions of the mapping.",
        "excluded by the mapping",
    ),
    UNATTRIBUTED: Explanation(
        "Iterable counted a failure and did not say which person failed.",
        "Sync again. If it persists, ask Iterable's support, naming the list and the time.",
        "that Iterable did not name",
    ),
}


# Reasons that a person may have removed in Iterable, or that pass.
_MAY_PASS = frozenset(
    {
        FailureReason.CONFLICT,
        FailureReason.NOT_FOUND,
        FailureReason.INVALID_DATA,
        FailureReason.ERROR,
        UNATTRIBUTED,
    }
)


def may_pass_later(reason: str) -> bool:
    """Return whether the same person may be accepted later without a new source: Iterable rejected them, and not for
    good."""
    return reason in _MAY_PASS


def explain(reason: str) -> Explanation:
    """Return the explanation of a reason, or a general one if the reason is unknown."""
    return EXPLANATIONS.get(
        reason,
        Explanation(
            "Iterable refused the person.", "Look the person up in Iterable, and sync again.", "that Iterable refused"
        ),
    )
