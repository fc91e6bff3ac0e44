"""The identity rule: which Iterable subscriber a member of an mParticle audience becomes. Pure, no I/O.

| User ID setting | sent to Iterable                                      | a member without an email    |
|-----------------|-------------------------------------------------------|------------------------------|
| customerId      | email, and userId = the customer id if there is one    | is rejected: no_email        |
| mpid            | email, and userId = the mpid                           | gets <mpid>@placeholder.email |

This is the rule of mParticle's own Iterable integration (setting `userIdField`), with its edge cases defined.

In a userID-based Iterable project a user id is a person, and the API finds no one by email. There a member without
the user id of the setting is rejected (`no_user_id`), and one without an email is sent by the user id alone.
"""

import re
from enum import StrEnum
from functools import partial
from typing import NamedTuple

#: Iterable never mails an address at this domain.
PLACEHOLDER_DOMAIN = "placeholder.email"

# The longest deliverable address has 254 characters (RFC 5321); up to this limit Iterable decides.
MAX_EMAIL_LENGTH = 320

#: What Iterable accepts as a userId: 1 to 52 printable ASCII characters, no trailing space.
USER_ID_PATTERN = r"[ -~]{0,51}[!-~]"

#: Addresses that only need lower-casing and trimming. Nearly all are like that, so planning normalizes them in the
#: database and maps only the rest in Python. The pattern means the same in RE2 and Python. It is ASCII only, because
#: databases and Python lower-case other letters differently.
PLAIN_EMAIL_PATTERN = r" *[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+){0,20}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+){1,20} *"
PLAIN_EMAIL_MAX_LENGTH = 200

_USER_ID = re.compile(USER_ID_PATTERN)
_PLAIN_EMAIL = re.compile(PLAIN_EMAIL_PATTERN)
# White space, control characters, and halves of surrogate pairs from bad JSON.
_FORBIDDEN_IN_EMAIL = re.compile(r"[\s\x00-\x1f\x7f\ud800-\udfff]")


class UserIdField(StrEnum):
    """The User ID setting of a connection: which identity becomes Iterable's userId."""

    CUSTOMER_ID = "customerId"
    MPID = "mpid"


class ProjectType(StrEnum):
    """The type of an Iterable project: what identifies a person in it. It is fixed when a project is made.

    Source: Iterable's support page "Project types" (article 9216719179796).
    """

    EMAIL = "email"
    """An email is a person. User ids need not be unique."""
    USER_ID = "userId"
    """A user id is a person. Emails need not be unique."""
    HYBRID = "hybrid"
    """Both are unique."""

    @property
    def label(self) -> str:
        """What Iterable calls such a project."""
        return {"email": "email-based", "userId": "userID-based", "hybrid": "hybrid"}[self.value]


class RejectionReason(StrEnum):
    """Why a member is rejected before anything is sent for it."""

    NO_EMAIL = "no_email"
    INVALID_EMAIL = "invalid_email"
    INVALID_USER_ID = "invalid_user_id"
    HASHED_IDENTITY = "hashed_identity"
    NO_IDENTITY = "no_identity"
    NO_USER_ID = "no_user_id"
    """The project is userID-based, and the profile lacks the user id of the User ID setting."""
    SHARED_CUSTOMER_ID = "shared_customer_id"
    """Another member has the same customer id and another email; neither has an mpid. Planning finds it, not the rule.
    """


class Profile(NamedTuple):
    """A member as mParticle knows it, with unchanged identities. None or white space means that there is none.

    `email_is_hashed` and `customer_id_is_hashed` say that the profile has that identity only as a hash (in Firehose
    messages), which can't be forwarded.
    """

    mpid: int | None = None
    email: str | None = None
    customer_id: str | None = None
    email_is_hashed: bool = False
    customer_id_is_hashed: bool = False


class Subscriber(NamedTuple):
    """The identity that is sent to Iterable. At least one of the two is set.

    To subscribe, the user id has to be set in a userID-based project, and the email in all others.
    """

    email: str | None
    user_id: str | None


# In half the time of Subscriber(...), whose constructor is written in Python.
_subscriber = partial(tuple.__new__, Subscriber)


def normalize_email(email: str | None) -> str | None:
    """Return the address trimmed and lower-cased, or None if it has only white space."""
    return (email or "").strip().lower() or None


def is_valid_email(email: str) -> bool:
    """Return whether a normalized email may be an address. If in doubt, True: Iterable decides."""
    local, at, domain = email.partition("@")
    return bool(
        at
        and local
        and domain
        and "@" not in domain
        and "." in domain
        and ".." not in email
        and len(email) <= MAX_EMAIL_LENGTH
        # the same of ASCII, in less time
        and (email.isprintable() and " " not in email if email.isascii() else not _FORBIDDEN_IN_EMAIL.search(email))
    )


def is_valid_user_id(user_id: str) -> bool:
    """Return whether Iterable accepts a text as a userId."""
    return _USER_ID.fullmatch(user_id) is not None


def placeholder_email(mpid: int | str) -> str:
    """Return the address for a profile without an email if the User ID setting is mpid."""
    return f"{mpid}@{PLACEHOLDER_DOMAIN}"


def resolve_subscriber(
    profile: Profile, field: UserIdField, project_type: ProjectType = ProjectType.EMAIL
) -> Subscriber | RejectionReason:
    """Return the subscriber to add for a member, or the reason why it is rejected."""
    user_id = _user_id(profile, field)
    if user_id is not None and not is_valid_user_id(user_id):
        return RejectionReason.INVALID_USER_ID
    if project_type is ProjectType.USER_ID and user_id is None:
        return _why_no_user_id(profile, field)
    email = normalize_email(profile.email)
    if email is not None:
        return Subscriber(email, user_id) if is_valid_email(email) else RejectionReason.INVALID_EMAIL
    if project_type is ProjectType.USER_ID:
        return Subscriber(None, user_id)
    return _without_email(profile, field, user_id)


def resolve_plain(email: str | None, user_id: str | None, project_type: ProjectType) -> Subscriber | None:
    """Return the subscriber of a member or leaver with a plain email and a valid user id, as nearly all have.

    `user_id` is the identity that the User ID setting chooses. Returns None if the member needs the whole rule, which
    takes three times as long.
    """
    if email is None or len(email) > PLAIN_EMAIL_MAX_LENGTH or _PLAIN_EMAIL.fullmatch(email) is None:
        return None
    has_user_id = user_id is not None and _USER_ID.fullmatch(user_id) is not None  # as `is_valid_user_id`
    is_usable = has_user_id or (user_id is None and project_type is not ProjectType.USER_ID)
    return _subscriber((email.strip().lower(), user_id)) if is_usable else None


def _without_email(profile: Profile, field: UserIdField, user_id: str | None) -> Subscriber | RejectionReason:
    if profile.email_is_hashed:
        return RejectionReason.HASHED_IDENTITY
    if field is UserIdField.CUSTOMER_ID:
        return RejectionReason.NO_EMAIL
    if profile.mpid is None:
        return RejectionReason.NO_IDENTITY
    return Subscriber(placeholder_email(profile.mpid), user_id)


def resolve_for_removal(
    profile: Profile, field: UserIdField, project_type: ProjectType = ProjectType.EMAIL
) -> Subscriber | RejectionReason:
    """Return the subscriber to remove for a leaver that the ledger does not know, from its email and user id."""
    email = normalize_email(profile.email)
    if email is not None and not is_valid_email(email):
        email = None
    user_id = _user_id(profile, field)
    if user_id is not None and not is_valid_user_id(user_id):
        user_id = None
    if project_type is ProjectType.USER_ID and user_id is None:
        return _why_no_user_id(profile, field)
    if email is None and user_id is None:
        hashed = profile.email_is_hashed or profile.customer_id_is_hashed
        return RejectionReason.HASHED_IDENTITY if hashed else RejectionReason.NO_IDENTITY
    return Subscriber(email, user_id)


def _why_no_user_id(profile: Profile, field: UserIdField) -> RejectionReason:
    is_hashed = field is UserIdField.CUSTOMER_ID and profile.customer_id_is_hashed
    return RejectionReason.HASHED_IDENTITY if is_hashed else RejectionReason.NO_USER_ID


def _user_id(profile: Profile, field: UserIdField) -> str | None:
    if field is UserIdField.MPID:
        return None if profile.mpid is None else str(profile.mpid)
    if profile.customer_id is None or not profile.customer_id.strip():
        return None
    return profile.customer_id
