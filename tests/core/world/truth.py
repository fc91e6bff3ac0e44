"""What is so, whatever the program thinks: who is in which audience, and what mappings have been told.

Where messages may have been dropped, or files were at work beside them, nobody can say any more what the live mapping
has to hold, until its whole audience is synced.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from core.identity import UserIdField
from core.store.mappings import RemovalPolicy
from tests.core.world.people import LISTS, LIVE, REFUSED, Person, address_of


@dataclass
class Believed:
    """What the live mapping has been told: of whom mParticle spoke last as a member, and how the person was then."""

    members: dict[int, Person] = field(default_factory=dict)
    #: The latest time stamp of each; None: there was one, and it may have been dropped.
    stamps: dict[int, int | None] = field(default_factory=dict)
    #: Whose membership can't be said, until their next message; and until the whole audience is synced.
    unsure: set[int] = field(default_factory=set)
    muddled: set[int] = field(default_factory=set)
    #: Nobody's can be said.
    lost: bool = False

    def tell(self, person: Person, stamp: int, *, joins: bool, is_late: bool, keyless: bool) -> bool:
        """A message comes. Returns whether it is the newest about that person."""
        number, known = person.mpid, self.stamps.get(person.mpid, 0)
        if keyless:  # it is not known as the same person, until the whole audience is synced
            self.muddled.add(number)
            return not is_late
        if known is None and is_late:
            self.unsure.add(number)
            return False
        if stamp < (known or 0):
            return False
        self.stamps[number] = stamp
        self.unsure.discard(number)
        self.members.pop(number, None)
        if joins:
            self.members[number] = person
        return True

    def lose(self) -> None:
        """Nobody can say any more who is a member."""
        self.lost = True

    def lose_stamps(self) -> None:
        """What waited was dropped, with its time stamps."""
        self.stamps = dict.fromkeys(self.stamps, None)
        self.lose()

    def know(self, members: dict[int, Person]) -> None:
        """The whole audience was synced in quiet."""
        self.members, self.lost = dict(members), False
        self.unsure.clear()
        self.muddled.clear()

    def know_older(self, members: dict[int, Person], at: int) -> None:
        """The whole audience as it was then was synced in quiet: of whom nothing newer was said, it decides."""
        former, was_lost = self.members, self.lost
        self.members, self.lost = dict(members), False
        for number, stamp in self.stamps.items():
            if stamp is None or stamp > at:
                self.members.pop(number, None)
                if number in former:
                    self.members[number] = former[number]
                if stamp is None or was_lost:
                    self.unsure.add(number)
            else:
                self.unsure.discard(number)


@dataclass
class Truth:
    """People, audiences, and all that mappings have been told."""

    setting: UserIdField
    people: dict[int, Person] = field(default_factory=dict)
    audiences: dict[str, set[int]] = field(default_factory=lambda: {name: set() for name in LISTS})
    removals: dict[str, RemovalPolicy] = field(default_factory=dict)
    #: Under which addresses each mapping has ever been told of each member.
    said: dict[str, dict[int, set[str]]] = field(default_factory=lambda: {name: {} for name in LISTS})
    #: Mappings that have been told of members without their mpids: with another key somebody is another member to them.
    keyless: set[str] = field(default_factory=set)
    #: Addresses that somebody who was forgotten may have had: what is on a list under them is nobody's any more.
    forgotten: set[str] = field(default_factory=set)
    live: Believed = field(default_factory=Believed)
    #: Time stamps given out.
    stamps: list[int] = field(default_factory=list)

    def now(self) -> int:
        """The time in milliseconds, always later than before, and even: what comes late is odd."""
        self.stamps.append(max((self.stamps or [0])[-1] + 2, (int(time.time() * 1000) // 2 + 1) * 2))
        return self.stamps[-1]

    def late(self, age: int) -> int:
        """A time before the last so many time stamps."""
        return self.now() if not age or not self.stamps else self.stamps[-min(age, len(self.stamps))] - 1

    def present(self, name: str) -> dict[int, Person]:
        """The members of an audience, as they are now."""
        return {number: self.people[number] for number in sorted(self.audiences[name])}

    def say(self, name: str, told: Iterable[Person]) -> None:
        """Note what a mapping is told, under the setting as it is and, because a run may wait, as it may become."""
        for person in told:
            found = {address_of(person, setting) for setting in UserIdField} - {None}
            self.said[name].setdefault(person.mpid, set()).update(email for email in found if email)

    def ever(self, number: int) -> set[str]:
        """All addresses that any mapping was told of a person."""
        return set().union(*(at.get(number, set()) for at in self.said.values()))

    def forget(self, person: Person, by: str) -> None:
        """A person is to be forgotten, and whoever can't be told from that person by an address."""
        theirs = {person.mpid}
        if by == "email":
            theirs |= {other.mpid for other in self.people.values() if other.email == person.email}
        addresses: set[str] = set()
        for _ in range(3):
            addresses = set().union(*(self.ever(number) for number in theirs)) - set(REFUSED)
            theirs |= {n for at in self.said.values() for n, those in at.items() if those & addresses}
        self.forgotten |= addresses
        self.live.lose()

    def removes(self, name: str) -> bool:
        """Whether who leaves an audience is taken off."""
        return self.removals.get(name, RemovalPolicy.REMOVE) is not RemovalPolicy.KEEP

    def set_removals(self, name: str, removals: RemovalPolicy) -> None:
        """Somebody says what becomes of leavers."""
        if name == LIVE:  # who left meanwhile is not looked for
            self.live.lose()
        self.removals[name] = removals
