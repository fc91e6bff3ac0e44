"""Lists and who is on them, with a history that shows whether anybody was taken off and put on again."""

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
    ready_at: float = 0.0  # by the server's clock: before, nobody can be subscribed
    deleted: bool = False
    keep_history: bool = True
    members: set[int] = field(default_factory=set, repr=False)
    events: list[Event] = field(default_factory=list, repr=False)

    def join(self, numbers: Sequence[int], at: float) -> None:
        """Puts people on the list; whoever is on it already stays and makes no event."""
        fresh = numbers
        if not isinstance(numbers, range):  # a range is of people made just now, who can't be on it
            fresh = list(dict.fromkeys(numbers))
            if not self.members.isdisjoint(fresh):
                fresh = [number for number in fresh if number not in self.members]
        self.members.update(fresh)
        self._record(at, True, fresh)

    def leave(self, numbers: Sequence[int], at: float) -> None:
        """Takes people off the list, all of whom are on it."""
        self.members.difference_update(numbers)
        self._record(at, False, numbers)

    def size(self) -> int:
        """How many are on the list."""
        return len(self.members)

    def members_as_of(self, at: float) -> set[int]:
        """Who was on the list at a time, as far as the history says."""
        if not self.events or self.events[-1].at <= at:
            return self.members
        members = set(self.members)
        for event in reversed(self.events):
            if event.at > at:
                (members.difference_update if event.joined else members.update)(event.numbers)
        return members

    def moves(self) -> dict[int, Moves]:
        """Joins and leaves of everybody who ever was on the list, by number."""
        joins: Counter[int] = Counter()
        leaves: Counter[int] = Counter()
        for event in self.events:
            (joins if event.joined else leaves).update(event.numbers)
        return {number: Moves(joins[number], leaves[number]) for number in joins}

    def described(self) -> dict[str, object]:
        """The list as `GET /api/lists` shows it."""
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
    """A list that only writes down who came and went (8 bytes each), and works out its size when asked."""

    __slots__ = ()

    def join(self, numbers: Sequence[int], at: float) -> None:
        """Writes down who joined."""
        self.events.append(Event(at, True, array("q", numbers)))

    def leave(self, numbers: Sequence[int], at: float) -> None:
        """Writes down who left, on the list or not."""
        self.events.append(Event(at, False, array("q", numbers)))

    def size(self) -> int:
        """How many are on the list, found by going through all that happened."""
        members: set[int] = set()
        for event in self.events:
            (members.update if event.joined else members.difference_update)(event.numbers)
        return len(members)
