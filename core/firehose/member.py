"""Members from profiles of messages: the member key, and the identities that count."""

from collections.abc import Callable
from dataclasses import dataclass

from core.firehose.schema import UserProfile
from core.identity import normalize_email
from core.sources.raw_identity import clean_customer_id, clean_email
from core.store.inbox import CUSTOMER_ID_HASHED, EMAIL_HASHED

# Identities are cut to these lengths, both beyond Iterable's limits: one that is too long is still rejected.
_LONGEST_EMAIL = 400
_LONGEST_CUSTOMER_ID = 200


@dataclass(frozen=True, slots=True)
class Member:
    """A profile as it is stored.

    The last identity of each type counts, as in mParticle's own integration. A hash counts only if there is no raw one.
    """

    key: str
    mpid: int | None
    email: str | None
    customer_id: str | None
    hashed: int


def member_from_profile(profile: UserProfile, fallback_key: str) -> Member:
    """Return the member for a profile; `fallback_key` is the key of one without any identity."""
    email = _last(profile, "email", clean_email, _LONGEST_EMAIL)
    customer_id = _last(profile, "customer", clean_customer_id, _LONGEST_CUSTOMER_ID)
    kinds = {identity.type for identity in profile.user_identities if not identity.is_raw}
    hashed = (EMAIL_HASHED if email is None and "email" in kinds else 0) | (
        CUSTOMER_ID_HASHED if customer_id is None and "customer" in kinds else 0
    )
    return Member(_key(profile.mpid, email, customer_id) or fallback_key, profile.mpid, email, customer_id, hashed)


def _last(profile: UserProfile, kind: str, clean: Callable[[str], str | None], longest: int) -> str | None:
    """Return the last identity of a kind, cleaned and cut. Words for "no value", such as "null", do not count."""
    raw = (
        identity.value for identity in reversed(profile.user_identities) if identity.type == kind and identity.is_raw
    )
    last = next((value for text in raw if (value := clean(text))), None)
    return last[:longest] if last else None


def _key(mpid: int | None, email: str | None, customer_id: str | None) -> str | None:
    """Return the member key, the same as for members from files, so that the ledger matches both."""
    if mpid is not None:
        return str(mpid)
    if customer_id is not None:
        return f"customer:{customer_id}"
    return None if email is None else f"email:{normalize_email(email)}"
