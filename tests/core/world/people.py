"""People and their addresses, and the rule by which they are put on a list, in another hand than the program's."""

from dataclasses import dataclass

from core.identity import UserIdField
from tests.core.harness import LIST, OTHER_LIST

PEOPLE = range(1, 8)
STRANGER = "stranger@elsewhere.example.com"
#: Iterable refuses these: it names them, or only counts the failure, or refuses the whole request.
UNNAMED, POISON = "counted@unattributed.test", "any@poison.test"
REFUSED = ["refused@forgotten.test", "refused@conflict.test", UNNAMED, POISON]
SHARED = ["shared0@example.com", "shared1@example.com", "shared2@example.com"]
#: What an address may become: one of one's own, one that others have too, none, or one that is of no use.
ADDRESSES = ["own0", "own1", "own0", "own1", *SHARED, None, None, "broken", *REFUSED]

#: The mappings that files feed, each with the list that it feeds, and the one that mParticle's messages feed.
FIRST, SECOND, THIRD, LIVE = "first", "second", "third", "8754"
LISTS = {FIRST: LIST, SECOND: LIST, THIRD: OTHER_LIST, LIVE: OTHER_LIST}


@dataclass(frozen=True)
class Person:
    """A person as mParticle knows one. `hashed`: told only by hashes of the identities."""

    mpid: int
    email: str | None = None
    customer_id: str | None = None
    hashed: bool = False


def address_of(person: Person, setting: UserIdField, *, keyless: bool = False) -> str | None:
    """Under which address a person is put on a list; None: not at all. `keyless`: told without the mpid."""
    if person.email:
        return None if person.hashed or "@" not in person.email else person.email
    return f"{person.mpid}@placeholder.email" if setting is UserIdField.MPID and not keyless else None


def user_id_of(person: Person, setting: UserIdField, *, keyless: bool = False) -> str | None:
    """Under which user id a person is put on a list."""
    if setting is UserIdField.MPID:
        return None if keyless else str(person.mpid)
    return None if person.hashed else person.customer_id
