"""Changes: what a run does to the list, a member each, and how they are stored.

A run's changes are stored in batches of up to 1,000, one row of the table `changes` each, because that is what one
request carries: the intent to send a batch, and its outcome, are then one write. A batch is a list of entries

    [role, profile, email, user_id, ...]

in which each sent entry is followed by those that hang on it (its followers). It is stored by columns, as a JSON object

    {"role": "aaf", "profile": [...], "email": [...], "user_id": [...], "more": [[...], ...]}

(a letter for each entry; `more` only where an entry has more than four values), because most batches are sent and
recorded as they are: then no entry is made of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from itertools import starmap
from typing import Any, NamedTuple

import orjson

#: Members a request, as other integrations of Iterable use it.
BATCH_SIZE = 1_000

#: A profile of the ledger that begins so stands for a former identity, of a member that got another, which is on the
#: list until its next holder is recorded. It is the address that follows.
FORMER_IDENTITY_PREFIX = "former:"


class Phase(IntEnum):
    """The order in which a run's changes are made. A phase begins when the one before has ended."""

    REMOVE = 0
    RETAIN = 1
    """Nothing is sent: the ledger learns of members whose subscriber is on the list already, and of former identities
    that stay on the list for somebody else. After the removals, because until a member's former identity is off the
    list, its row is all that is known of that."""
    RENAME = 2
    UPDATE = 3
    ADD = 4
    RELEASE = 5
    """Nothing is sent: the ledger forgets leavers whose subscriber somebody else still holds, and likewise former
    identities, where Iterable did not accept the new one. Last, because until the new holder is on the list, that row
    is all that is known of the subscriber."""


class Operation(StrEnum):
    """What an entry is, and so what its outcome does to the ledger and the counters."""

    ADD = "a"
    """Subscribe; counts as added."""
    UPDATE = "u"
    """Subscribe under a new identity; counts as updated."""
    RESUBSCRIBE_UNCOUNTED = "q"
    """Subscribe; has been counted before."""
    DUPLICATE = "f"
    """Not sent: maps to the same subscriber as the sent entry before it, and shares its fate in the ledger."""
    RETAIN = "h"
    """Not sent: the subscriber is on the list already."""
    REMOVE = "r"
    """Unsubscribe; counts as removed."""
    UNSUBSCRIBE_FORMER = "o"
    """Unsubscribe (or release) the former identity of a member that is updated; is not counted."""
    RENAME = "n"
    """Rename a placeholder; the fifth value is the new email. The update that follows is counted."""
    RELEASE = "x"
    """Not sent: forget the leaver if its holder (fifth and sixth value: mapping id, profile) is in the ledger."""


class BatchEntry(NamedTuple):
    """One member of a batch."""

    op: str
    """An `Operation`, as a letter."""
    member_key: str
    email: str | None
    user_id: str | None
    extra: tuple[Any, ...] = ()
    """More values, for some operations. So that a run can be undone, they are the email and the user id that the ledger
    had before, if it knew a member that is added or retained, and `False` for a leaver that the ledger did not know."""

    def as_row(self) -> list[Any]:
        """Return the entry as one array: op, member key, email, user id and the extra values."""
        return [*self[:4], *self.extra]


#: The entries that count when they are accepted.
COUNTED = frozenset({Operation.ADD, Operation.UPDATE, Operation.REMOVE})


@dataclass(frozen=True, slots=True)
class BatchColumns:
    """The entries of a batch, by columns: the n-th value of each belongs to the n-th entry."""

    ops: str
    member_keys: list[str]
    emails: list[str | None]
    user_ids: list[str | None]
    more: list[list[Any]] | None = None

    @property
    def entries(self) -> list[BatchEntry]:
        """The entries one by one."""
        columns = (self.ops, self.member_keys, self.emails, self.user_ids)
        if self.more is None:
            return list(starmap(BatchEntry, zip(*columns, strict=True)))
        return list(starmap(BatchEntry, zip(*columns, map(tuple, self.more), strict=True)))


def encode(entries: Sequence[BatchEntry]) -> str:
    """Return entries as they are stored."""
    columns: dict[str, Any] = {
        "role": "".join(entry.op for entry in entries),
        "profile": [entry.member_key for entry in entries],
        "email": [entry.email for entry in entries],
        "user_id": [entry.user_id for entry in entries],
    }
    if any(entry.extra for entry in entries):
        columns["more"] = [entry.extra for entry in entries]
    return orjson.dumps(columns).decode()


def decode(members: str) -> BatchColumns:
    """Return a stored batch."""
    stored = orjson.loads(members)
    return BatchColumns(stored["role"], stored["profile"], stored["email"], stored["user_id"], stored.get("more"))


def groups(entries: Sequence[BatchEntry]) -> Iterator[list[BatchEntry]]:
    """Yield each sent entry together with its followers, in order."""
    group: list[BatchEntry] = []
    for entry in entries:
        if entry.op != Operation.DUPLICATE and group:
            yield group
            group = []
        group.append(entry)
    if group:
        yield group
