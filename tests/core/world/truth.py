"""The truth, independent of the program: the members of each audience, and what mappings have received.

If messages may have been dropped, or a file of the live mapping was synced at the same time, the correct members of the
live mapping are unknown until its whole audience is synced.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from core.identity import ProjectType, UserIdField
from core.store.mappings import RemovalPolicy
from tests.core.world.people import LISTS, LIVE, REFUSED, Person, key_of


@dataclass
class LiveMembers:
    """The members by the latest messages of mParticle, with their identities at that time."""

    members: dict[int, Person] = field(default_factory=dict)
    #: The latest timestamp of each person; None if there was one that may have been dropped.
    stamps: dict[int, int | None] = field(default_factory=dict)
    #: People whose membership is unknown: until their next message, or until the whole audience is synced.
    unsure: set[int] = field(default_factory=set)
    unidentified: set[int] = field(default_factory=set)
    #: The membership of all people is unknown.
    is_unknown: bool = False

    def receive(self, person: Person, stamp: int, *, is_member: bool, is_late: bool, keyless: bool) -> bool:
        """Receive a message. Returns whether it is the newest about that person."""
        number, known = person.mpid, self.stamps.get(person.mpid, 0)
        if keyless:  # not recognized as the same person until the whole audience is synced
            self.unidentified.add(number)
            return not is_late
        if known is None and is_late:
            self.unsure.add(number)
            return False
        if stamp < (known or 0):
            return False
        self.stamps[number] = stamp
        self.unsure.discard(number)
        self.members.pop(number, None)
        if is_member:
            self.members[number] = person
        return True

    def mark_unknown(self) -> None:
        """Mark the membership of all people as unknown."""
        self.is_unknown = True

    def forget_stamps(self) -> None:
        """Drop pending changes with their timestamps."""
        self.stamps = dict.fromkeys(self.stamps, None)
        self.mark_unknown()

    def reset(self, members: dict[int, Person]) -> None:
        """Sync the whole audience without faults."""
        self.members, self.is_unknown = dict(members), False
        self.unsure.clear()
        self.unidentified.clear()

    def reset_older(self, members: dict[int, Person], at: int) -> None:
        """Sync an older state of the whole audience without faults: it decides about people without newer messages."""
        former, was_unknown = self.members, self.is_unknown
        self.members, self.is_unknown = dict(members), False
        for number, stamp in self.stamps.items():
            if stamp is None or stamp > at:
                self.members.pop(number, None)
                if number in former:
                    self.members[number] = former[number]
                if stamp is None or was_unknown:
                    self.unsure.add(number)
            else:
                self.unsure.discard(number)


@dataclass
class Truth:
    """People, audiences, and everything that mappings have received."""

    setting: UserIdField
    project_type: ProjectType = ProjectType.EMAIL
    people: dict[int, Person] = field(default_factory=dict)
    audiences: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in LISTS})
    removals: dict[str, RemovalPolicy] = field(default_factory=dict)
    #: All keys (see `people.key_of`) under which each mapping has ever received each member.
    known_keys: dict[str, dict[int, set[str]]] = field(default_factory=lambda: {name: {} for name in LISTS})
    #: All addresses that each mapping has ever received.
    known_emails: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in LISTS})
    #: Mappings that have received members without mpids: a person with another key is another member to them.
    keyless: set[str] = field(default_factory=set)
    #: Addresses that a forgotten person may have had: a subscriber under one of them belongs to no member.
    forgotten: set[str] = field(default_factory=set)
    live: LiveMembers = field(default_factory=LiveMembers)
    #: All timestamps so far.
    stamps: list[int] = field(default_factory=list)

    def now(self) -> int:
        """The time in milliseconds, always later than before, and even: late messages are odd."""
        self.stamps.append(max((self.stamps or [0])[-1] + 2, (int(time.time() * 1000) // 2 + 1) * 2))
        return self.stamps[-1]

    def late(self, age: int) -> int:
        """A time before the last `age` timestamps."""
        return self.now() if not age or not self.stamps else self.stamps[-min(age, len(self.stamps))] - 1

    def present(self, name: str) -> dict[int, Person]:
        """The members of an audience with their current identities."""
        return {number: self.people[number] for number in sorted(self.audiences[name])}

    def remember(self, name: str, people: Iterable[Person]) -> None:
        """Record what a mapping receives, under both User ID settings, since the setting may change before a run."""
        for person in people:
            settings = [(setting, keyless) for setting in UserIdField for keyless in (False, True)]
            keys = {key_of(person, setting, self.project_type, keyless=keyless) for setting, keyless in settings}
            self.known_keys[name].setdefault(person.mpid, set()).update(key for key in keys if key)
            if person.email is not None:
                self.known_emails[name].add(person.email)

    def keys_of(self, number: int) -> set[str]:
        """All keys under which any mapping has received a person."""
        return set().union(*(by_number.get(number, set()) for by_number in self.known_keys.values()))

    def forget(self, person: Person, by: str) -> None:
        """Forget a person, and all people who share an address with that person."""
        numbers = {person.mpid}
        if by == "email":
            numbers |= {other.mpid for other in self.people.values() if other.email == person.email}
        addresses: set[str] = set()
        for _ in range(3):
            addresses = set().union(*(self.keys_of(number) for number in numbers)) - set(REFUSED)
            numbers |= {
                n for by_number in self.known_keys.values() for n, keys in by_number.items() if keys & addresses
            }
        self.forgotten |= addresses
        self.live.mark_unknown()

    def removes(self, name: str) -> bool:
        """Whether leavers of an audience are removed from the list."""
        return self.removals.get(name, RemovalPolicy.REMOVE) is not RemovalPolicy.KEEP

    def set_removals(self, name: str, policy: RemovalPolicy) -> None:
        """Set the removal policy of a mapping."""
        if name == LIVE:  # earlier leavers are not removed
            self.live.mark_unknown()
        self.removals[name] = policy
