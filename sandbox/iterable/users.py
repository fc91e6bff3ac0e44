"""The people of a project: numbered, in two columns (email, user id), each with an index.

A number identifies a person for the life of the project, so lists contain numbers, and a person whose email changes
stays on every list. Plain strings and integers in flat containers keep a thousand new people per request cheap, and add
no work for the garbage collector.
"""

from __future__ import annotations

from collections.abc import Sequence


class Column:
    """One identifier of all people, and the first holder of each value.

    The index is updated on demand: a column that is not searched costs nothing.
    """

    __slots__ = ("_first", "_indexed", "_shared", "values")

    def __init__(self) -> None:
        self.values: list[str | None] = []
        self._first: dict[str, int] = {}
        self._indexed = 0  # values before this are in the index
        self._shared: set[str] = set()

    @property
    def first(self) -> dict[str, int]:
        """Return the number of the first holder by value."""
        for number in range(self._indexed, len(self.values)):
            value = self.values[number]
            if value is not None and self._first.setdefault(value, number) != number:
                self._shared.add(value)
        self._indexed = len(self.values)
        return self._first

    def claim(self, values: Sequence[str | None], numbers: range) -> bool:
        """Add the values of new people if all are distinct and new. Otherwise change nothing."""
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
        """Undo the latest `claim`."""
        self._unclaim(self.values[numbers.start :], numbers)
        del self.values[numbers.start :]
        self._indexed = len(self.values)

    def set(self, number: int, value: str | None) -> None:
        """Set or remove a person's value."""
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
    """The people of a project."""

    __slots__ = ("emails", "user_ids")

    def __init__(self) -> None:
        self.emails = Column()
        self.user_ids = Column()

    def __len__(self) -> int:
        return len(self.emails.values)

    def add(self, email: str | None, user_id: str | None) -> int:
        """Add a person. Returns the number."""
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
        """Add many people at once, if their identifiers are all new and distinct, and return their numbers.

        Otherwise add no one and return None.
        """
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
        """Find many people at once, if each has exactly these identifiers; otherwise return None."""
        try:
            numbers = list(map(self.emails.first.__getitem__, emails))
        except KeyError:
            return None
        return numbers if list(map(self.user_ids.values.__getitem__, numbers)) == user_ids else None

    def identity(self, number: int) -> tuple[str | None, str | None]:
        """Return a person's email and user id."""
        return self.emails.values[number], self.user_ids.values[number]

    def forget(self, number: int) -> None:
        """Delete a person's identifiers. The number stays unused."""
        self.emails.set(number, None)
        self.user_ids.set(number, None)
