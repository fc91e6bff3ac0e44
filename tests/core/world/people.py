"""People and their addresses, and the identity rule, implemented independently of the program."""

from dataclasses import dataclass

from core.identity import ProjectType, UserIdField
from tests.core.harness import LIST, OTHER_LIST

PEOPLE = range(1, 8)
STRANGER, STRANGER_ID = "stranger@elsewhere.example.com", "stranger"
#: Iterable refuses these addresses: it names two of them, only counts one, and refuses the whole request for one.
UNNAMED, POISON = "counted@unattributed.test", "any@poison.test"
REFUSED = ["refused@forgotten.test", "refused@conflict.test", UNNAMED, POISON]
SHARED = ["shared0@example.com", "shared1@example.com", "shared2@example.com"]
#: What an address may become: an own one, one that others share, none, or one that is unusable.
ADDRESSES = ["own0", "own1", "own0", "own1", *SHARED, None, None, "broken", *REFUSED]

#: The mappings that files feed, and the one that mParticle's messages feed, with their lists.
FIRST, SECOND, THIRD, LIVE = "first", "second", "third", "8754"
LISTS = {FIRST: LIST, SECOND: LIST, THIRD: OTHER_LIST, LIVE: OTHER_LIST}


@dataclass(frozen=True)
class Person:
    """A person as mParticle knows one. `hashed`: mParticle sends only hashes of the identities."""

    mpid: int
    email: str | None = None
    customer_id: str | None = None
    hashed: bool = False


def address_of(person: Person, setting: UserIdField, *, keyless: bool = False) -> str | None:
    """The address under which a person is on a list, or None. `keyless`: the source has no mpid."""
    if person.email:
        return None if person.hashed or "@" not in person.email else person.email
    return f"{person.mpid}@placeholder.email" if setting is UserIdField.MPID and not keyless else None


def user_id_of(person: Person, setting: UserIdField, *, keyless: bool = False) -> str | None:
    """The user id under which a person is on a list."""
    if setting is UserIdField.MPID:
        return None if keyless else str(person.mpid)
    return None if person.hashed else person.customer_id


def key_of(person: Person, setting: UserIdField, project_type: ProjectType, *, keyless: bool = False) -> str | None:
    """What tells a person on a list from others, or None if the person can't be on one.

    That is the email in an email-based project, and the user id, if there is one, in the others.
    """
    email, user_id = (rule(person, setting, keyless=keyless) for rule in (address_of, user_id_of))
    if project_type is ProjectType.EMAIL:
        return email
    if project_type is ProjectType.HYBRID:
        return (user_id or email) if email else None
    is_broken = bool(person.email) and not person.hashed and "@" not in (person.email or "")
    return None if is_broken else user_id
