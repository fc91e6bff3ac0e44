"""What became of a batch, member by member."""

from dataclasses import dataclass, field
from typing import NamedTuple

from core.models.batch import BatchEntry

#: A sent entry with its followers.
EntryGroup = list[BatchEntry]


class RejectedGroup(NamedTuple):
    """A sent entry that Iterable did not accept, with its followers: why, and perhaps Iterable's own words."""

    unit: EntryGroup
    reason: str
    words: str | None = None


@dataclass(slots=True)
class BatchOutcome:
    """What became of the members of a batch, each with its followers.

    `unattributed` of those accepted were not, and Iterable does not say which. `renamed` are placeholders that have
    their real address now; `vanished` are placeholders that Iterable does not know, perhaps because they were renamed
    before, in a request whose answer was lost. Not `is_confirmed`: Iterable did not say what became of those accepted.
    """

    accepted: list[EntryGroup] = field(default_factory=list)
    rejected: list[RejectedGroup] = field(default_factory=list)
    unattributed: int = 0
    renamed: list[EntryGroup] = field(default_factory=list)
    vanished: list[EntryGroup] = field(default_factory=list)
    is_confirmed: bool = True

    def __add__(self, other: "BatchOutcome") -> "BatchOutcome":
        return BatchOutcome(
            self.accepted + other.accepted,
            self.rejected + other.rejected,
            self.unattributed + other.unattributed,
            self.renamed + other.renamed,
            self.vanished + other.vanished,
            self.is_confirmed and other.is_confirmed,
        )
