"""The people of a project: numbered, in two columns (email, user id), each with an index.

A number stands for a person as long as the project lives, so lists hold numbers, and a person whose
email changes stays on every list. Plain strings and integers in flat containers keep a thousand new
people a request cheap, and out of the garbage collector's sight.
"""

from __future__ import annotations

from collections.abc import Sequence


class Column:
    """One identifier of every person, and who holds a value first.

    The index is made up to date when it is asked for: a column that nobody searches costs nothing.
    """

    __slots__ = ("_first", "_indexed", "_shared", "values")

    def __init__(self) -> None:
        self.values: list[str | None] = []
        self._first: dict[str, int] = {}
        self._indexed = 0  # values before this are in the index
        self._shared: set[str] = set()

    @property
    def first(self) -> dict[str, int]:
        """By value, the number of the first person who holds it."""
        for number in range(self._indexed, len(self.values)):
            value = self.values[number]
            if value is not None and self._first.setdefault(value, number) != number:
                self._shared.add(value)
        self._indexed = len(self.values)
        return self._first

    def claim(self, values: Sequence[str | None], numbers: range) -> bool:
        """Takes over the values of new people if all are distinct and held by nobody, else nothing."""
        claimed, claimants = [*values], [*numbers]
        if None in claimed:
            claimants = [number for number, value in zip(numbers, values, strict=True) if value is not None]
            claimed = [value for value in values if value is not None]
        holders = [*map(self.first.setdefault, claimed, claimants)]  # type: ignore[arg-type]  # no None left
        if holders != claimants:
            self._unclaim(claimed, claimants)
            return False
        self.values.extend(values)
        self._indexed = len(self.values)
        return True

    def release(self, numbers: range) -> None:
        """Undoes the latest `claim`."""
        self._unclaim(self.values[numbers.start :], numbers)
        del self.values[numbers.start :]
        self._indexed = len(self.values)

    def set(self, number: int, value: str | None) -> None:
        """Gives a person another value, or none."""
        old, self.values[number] = self.values[number], value
        if old == value or number >= self._indexed:
            return
        if old is not None and self._first.get(old) == number:
            self._pass_on(old)
        if value is not None and self._first.setdefault(value, number) != number:
            self._shared.add(value)

    def _unclaim(self, values: Sequence[str | None], numbers: Sequence[int]) -> None:
        for value, number in zip(values, numbers, strict=True):
            if value is not None and self._first.get(value) == number:
                del self._first[value]

    def _pass_on(self, value: str) -> None:
        del self._first[value]
        if value in self._shared:
            heir = next((number for number, held in enumerate(self.values) if held == value), None)
            if heir is not None:
                self._first[value] = heir


class People:
    """Everybody that a project knows."""

    __slots__ = ("emails", "user_ids")

    def __init__(self) -> None:
        self.emails = Column()
        self.user_ids = Column()

    def __len__(self) -> int:
        return len(self.emails.values)

    def add(self, email: str | None, user_id: str | None) -> int:
        """A new person's number."""
        self.emails.values.append(email)
        self.user_ids.values.append(user_id)
        return len(self.emails.values) - 1

    def add_all_new(
        self,
        emails: Sequence[str | None],
        user_ids: Sequence[str | None],
        *,
        unique_emails: bool,
        unique_user_ids: bool,
    ) -> range | None:
        """Many new people at once, if those identifiers are all new and distinct; else None, and nobody."""
        numbers = range(len(self), len(self) + len(emails))
        if unique_emails and not self.emails.claim(emails, numbers):
            return None
        if unique_user_ids and not self.user_ids.claim(user_ids, numbers):
            if unique_emails:
                self.emails.release(numbers)
            return None
        if not unique_emails:
            self.emails.values.extend(emails)
        if not unique_user_ids:
            self.user_ids.values.extend(user_ids)
        return numbers

    def find_all(self, emails: Sequence[str], user_ids: Sequence[str | None]) -> list[int] | None:
        """Many known people at once, if each is known by exactly these identifiers; else None."""
        try:
            numbers = list(map(self.emails.first.__getitem__, emails))
        except KeyError:
            return None
        return numbers if list(map(self.user_ids.values.__getitem__, numbers)) == user_ids else None

    def identity(self, number: int) -> tuple[str | None, str | None]:
        """A person's email and user id."""
        return self.emails.values[number], self.user_ids.values[number]

    def forget(self, number: int) -> None:
        """Takes a person's identifiers away; the number stands for nobody from now on."""
        self.emails.set(number, None)
        self.user_ids.set(number, None)
