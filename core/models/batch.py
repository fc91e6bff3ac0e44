"""Batches: the changes of a run to its list, one entry per member, and their stored form.

A run's changes are stored in batches of up to 1,000, each a row of the table `changes`. That is what one request
contains, so the intent to send a batch is one write, and so is its outcome. A batch is a list of entries

    [role, profile, email, user_id, ...]

in which each sent entry is followed by its duplicates. It is stored by columns, as a JSON object

    {"role": "aaf", "profile": [...], "email": [...], "user_id": [...], "more": [[...], ...]}

(a letter for each entry; `more` only if an entry has more than four values). Most batches are sent and recorded by
columns, without building their entries.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from itertools import starmap
from typing import Any, NamedTuple

import orjson

#: Members per request, as in other integrations with Iterable.
BATCH_SIZE = 1_000

#: The prefix of ledger keys for former identities: a member got another identity, and the former one is on the list
#: until its next holder is recorded. The address follows, or in a userID-based project the user id.
FORMER_IDENTITY_PREFIX = "former:"


class Phase(IntEnum):
    """The phases of an upload, in order. Each starts when the previous one has ended."""

    REMOVE = 0
    RETAIN = 1
    """Nothing is sent: adds members to the ledger whose subscriber is on the list already, and former identities that
    stay on the list for another member. After the removals, because the ledger row is the only record of a former
    identity that is still to be removed."""
    RENAME = 2
    UPDATE = 3
    ADD = 4
    RELEASE = 5
    """Nothing is sent: deletes the ledger rows of leavers whose subscriber another member still holds, and of former
    identities if Iterable rejected the new one. Last, because until the new holder is on the list, that row is the only
    record of the subscriber."""


class Operation(StrEnum):
    """The operation of an entry. It decides how the outcome changes the ledger and the counters."""

    ADD = "a"
    """Subscribe; counts as added."""
    UPDATE = "u"
    """Subscribe under a new identity; counts as updated."""
    RESUBSCRIBE_UNCOUNTED = "q"
    """Subscribe; was counted before."""
    DUPLICATE = "f"
    """Not sent: has the same subscriber as the sent entry before it, and the same outcome in the ledger."""
    RETAIN = "h"
    """Not sent: the subscriber is on the list already."""
    REMOVE = "r"
    """Unsubscribe; counts as removed."""
    UNSUBSCRIBE_FORMER = "o"
    """Unsubscribe (or release) the former identity of an updated member; not counted."""
    RENAME = "n"
    """Rename a placeholder; the fifth value is the new email. The update that follows is counted."""
    RELEASE = "x"
    """Not sent: delete the leaver's row if its holder (fifth and sixth value: mapping id, key) is in the ledger."""


class BatchEntry(NamedTuple):
    """One member of a batch."""

    op: str
    """An `Operation`, as a letter."""
    member_key: str
    email: str | None
    user_id: str | None
    extra: tuple[Any, ...] = ()
    """More values, for some operations. To make a run undoable, they are the ledger's previous email and user id of a
    member that is added or retained, if it was in the ledger, and `False` for a leaver that was not."""

    def as_row(self) -> list[Any]:
        """Return the entry as one array: op, member key, email, user id and the extra values."""
        return [*self[:4], *self.extra]


#: The operations that are counted once Iterable accepts them.
COUNTED = frozenset({Operation.ADD, Operation.UPDATE, Operation.REMOVE})


@dataclass(frozen=True, slots=True)
class BatchColumns:
    """The entries of a batch by columns: the n-th value of each belongs to the n-th entry."""

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


class FieldsOfMember(NamedTuple):
    """The data fields of a member: their digest, and the JSON object that is sent."""

    digest: str
    fields: str


#: The data fields of the members of a batch, by member key.
BatchFields = Mapping[str, FieldsOfMember]


def encode(entries: Sequence[BatchEntry] | Sequence[tuple[Any, ...]]) -> str:
    """Return entries in the stored form (JSON). There is at least one; a tuple has the values of a BatchEntry."""
    ops, member_keys, emails, user_ids, more = zip(*entries, strict=True)
    columns: dict[str, Any] = {"role": "".join(ops), "profile": member_keys, "email": emails, "user_id": user_ids}
    if any(more):
        columns["more"] = more
    return orjson.dumps(columns).decode()


def decode(members: str) -> BatchColumns:
    """Parse a stored batch (JSON)."""
    stored = orjson.loads(members)
    return BatchColumns(stored["role"], stored["profile"], stored["email"], stored["user_id"], stored.get("more"))


def groups(entries: Sequence[BatchEntry]) -> Iterator[list[BatchEntry]]:
    """Yield each sent entry together with its duplicates, in order."""
    group: list[BatchEntry] = []
    for entry in entries:
        if entry.op != Operation.DUPLICATE and group:
            yield group
            group = []
        group.append(entry)
    if group:
        yield group
