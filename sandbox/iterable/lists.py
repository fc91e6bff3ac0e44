"""Lists and their members, with a history that shows removals and repeated additions."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, get_args

ListType = Literal["Standard", "Dynamic", "Suppression", "Internal"]
LIST_TYPES: Final[tuple[str, ...]] = get_args(ListType)


class Event(NamedTuple):
    """People who joined or left a list with one request, by number."""

    at: float
    joined: bool
    numbers: Sequence[int]


class Moves(NamedTuple):
    """How often a person joined and left a list."""

    joins: int
    leaves: int


@dataclass(slots=True)
class MailingList:
    """A list of a project."""

    id: int
    project: str
    name: str
    type: ListType = "Standard"
    description: str = ""
    created_at: int = 0  # milliseconds
    ready_at: float = 0.0  # by the server's clock; until then, subscribing fails
    deleted: bool = False
    keep_history: bool = True
    members: set[int] = field(default_factory=set, repr=False)
    events: list[Event] = field(default_factory=list, repr=False)

    def join(self, numbers: Sequence[int], at: float) -> None:
        """Add people to the list. Those already on it cause no event."""
        fresh = numbers
        if not isinstance(numbers, range):  # a range contains new people, who can't be on it
            fresh = list(dict.fromkeys(numbers))
            if not self.members.isdisjoint(fresh):
                fresh = [number for number in fresh if number not in self.members]
        self.members.update(fresh)
        self._record(at, True, fresh)

    def leave(self, numbers: Sequence[int], at: float) -> None:
        """Remove people from the list; all must be on it."""
        self.members.difference_update(numbers)
        self._record(at, False, numbers)

    def size(self) -> int:
        """Return the number of members."""
        return len(self.members)

    def members_as_of(self, at: float) -> set[int]:
        """Return the members at a time, from the history."""
        if not self.events or self.events[-1].at <= at:
            return self.members
        members = set(self.members)
        for event in reversed(self.events):
            if event.at > at:
                (members.difference_update if event.joined else members.update)(event.numbers)
        return members

    def moves(self) -> dict[int, Moves]:
        """Return the joins and leaves of all former and present members, by number."""
        joins: Counter[int] = Counter()
        leaves: Counter[int] = Counter()
        for event in self.events:
            (joins if event.joined else leaves).update(event.numbers)
        return {number: Moves(joins[number], leaves[number]) for number in joins}

    def described(self) -> dict[str, object]:
        """Return the list as in `GET /api/lists`."""
        shown: dict[str, object] = {
            "id": self.id,
            "name": self.name,
            "createdAt": self.created_at,
            "listType": self.type,
        }
        if self.description:
            shown["description"] = self.description
        if self.type == "Suppression":
            shown["isGlobalSuppressionEnabled"] = False
        return shown

    def _record(self, at: float, joined: bool, numbers: Sequence[int]) -> None:
        if self.keep_history and len(numbers):
            kept = numbers if isinstance(numbers, range) else array("q", numbers)
            self.events.append(Event(at, joined, kept))


class LeanList(MailingList):
    """A list that only records joins and leaves (8 bytes each), and computes its size on demand."""

    __slots__ = ()

    def join(self, numbers: Sequence[int], at: float) -> None:
        """Record joins."""
        self.events.append(Event(at, True, array("q", numbers)))

    def leave(self, numbers: Sequence[int], at: float) -> None:
        """Record leaves, of members or not."""
        self.events.append(Event(at, False, array("q", numbers)))

    def size(self) -> int:
        """Return the number of members, computed from all joins and leaves."""
        members: set[int] = set()
        for event in self.events:
            (members.update if event.joined else members.difference_update)(event.numbers)
        return len(members)
