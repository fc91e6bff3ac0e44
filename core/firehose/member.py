"""From a profile in a message to a member: the key that it is known by, and the identities that count."""

from collections.abc import Callable
from dataclasses import dataclass

from core.firehose.schema import UserProfile
from core.identity import normalize_email
from core.raw_identity import clean_customer_id, clean_email
from core.store.inbox import CUSTOMER_ID_HASHED, EMAIL_HASHED

# Identities are cut to these lengths, both beyond what Iterable takes: what is too long stays so, and is rejected.
_LONGEST_EMAIL = 400
_LONGEST_CUSTOMER_ID = 200


@dataclass(frozen=True, slots=True)
class Member:
    """A profile as it is stored. Of several identities of a kind the last one counts, as in mParticle's own
    integration; a hash does where there is nothing else."""

    key: str
    mpid: int | None
    email: str | None
    customer_id: str | None
    hashed: int


def member_from_profile(profile: UserProfile, nobody: str) -> Member:
    """Return the member that a profile is; `nobody` is the key of one that has no identity at all."""
    email = _last(profile, "email", clean_email, _LONGEST_EMAIL)
    customer_id = _last(profile, "customer", clean_customer_id, _LONGEST_CUSTOMER_ID)
    kinds = {identity.type for identity in profile.user_identities if not identity.is_raw}
    hashed = (EMAIL_HASHED if email is None and "email" in kinds else 0) | (
        CUSTOMER_ID_HASHED if customer_id is None and "customer" in kinds else 0
    )
    return Member(_key(profile.mpid, email, customer_id) or nobody, profile.mpid, email, customer_id, hashed)


def _last(profile: UserProfile, kind: str, clean: Callable[[str], str | None], longest: int) -> str | None:
    """The last identity of a kind that is one, cleaned: a word for nothing is none."""
    raw = (
        identity.value for identity in reversed(profile.user_identities) if identity.type == kind and identity.is_raw
    )
    last = next((value for each in raw if (value := clean(each))), None)
    return last[:longest] if last else None


def _key(mpid: int | None, email: str | None, customer_id: str | None) -> str | None:
    """The same keys as those of members read from files, so that both find each other in the ledger."""
    if mpid is not None:
        return str(mpid)
    if customer_id is not None:
        return f"customer:{customer_id}"
    return None if email is None else f"email:{normalize_email(email)}"
