"""Rejection reasons: the meaning of each, and what a person can do about it."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.identity import RejectionReason
from core.iterable.models import FailureReason
from core.store.rejections import ERASED, UNATTRIBUTED


@dataclass(frozen=True, slots=True)
class Explanation:
    """The meaning of a reason, and what a person can do about it, each as a sentence."""

    meaning: str
    remedy: str


EXPLANATIONS: Mapping[str, Explanation] = {
    RejectionReason.NO_EMAIL: Explanation(
        "The profile has no email address.",
        "Collect the address in mParticle, or choose the User ID setting mpid, which gives such a profile a "
        "placeholder address.",
    ),
    RejectionReason.INVALID_EMAIL: Explanation(
        "The email can't be an address: it lacks an @ or a domain, has two dots in a row, or has white space or "
        "another address in it.",
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
    RejectionReason.NO_USER_ID: Explanation(
        "The Iterable project is userID-based, and the profile has no user id: no customer id, or no mpid, as the User "
        "ID setting wants it.",
        "Collect the customer id in mParticle, or choose the User ID setting mpid, which every profile of mParticle "
        "has. If the project is not userID-based, correct its type at the connection.",
    ),
    RejectionReason.SHARED_CUSTOMER_ID: Explanation(
        "Another member has the same customer id and another email.",
        "Give each person a customer id of their own, or leave the column out: then the email alone identifies them.",
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
        "Check that the connection has the project's type: a userID-based project knows no one by email alone.",
    ),
    FailureReason.INVALID_DATA: Explanation(
        "Iterable refused this member's data, or would refuse it: a data field has a value of another type than the "
        "field has in the project.",
        "Correct the value of the field that the file of rejections names, or take the field off the mapping's data "
        "fields. If none is named, look the member up in Iterable, and sync again.",
    ),
    FailureReason.ERROR: Explanation(
        "Iterable answered with an error of its own (500) for this member alone, also after several tries.",
        "Look the person up in Iterable. If nothing is wrong there, ask Iterable's support; the next sync tries again.",
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
    """Return the explanation of a reason, or a general one if the reason is unknown."""
    return EXPLANATIONS.get(
        reason, Explanation("Iterable did not accept the member.", "Look the member up in Iterable, and sync again.")
    )
