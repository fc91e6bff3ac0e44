"""The outcome of a batch, member by member."""

from dataclasses import dataclass, field
from typing import NamedTuple

from core.models.batch import BatchEntry

#: A sent entry, followed by its duplicates, which are not sent.
EntryGroup = list[BatchEntry]


class RejectedGroup(NamedTuple):
    """A group that Iterable rejected, with the reason and, if known, Iterable's own words."""

    unit: EntryGroup
    reason: str
    words: str | None = None


@dataclass(slots=True)
class BatchOutcome:
    """The outcome of a batch: the groups that were accepted, rejected and renamed.

    `merged` are placeholders whose profile was merged into the one with the real address; whether that one is on the
    list is not known.
    `unattributed` is how many of the accepted members failed: Iterable counts them without saying which they are.
    `renamed` are placeholders that now have their real address. `vanished` are placeholders that Iterable does not
    know, perhaps because an earlier request renamed them and its answer was lost. `is_confirmed` is False if Iterable
    did not confirm the accepted members.
    """

    accepted: list[EntryGroup] = field(default_factory=list)
    rejected: list[RejectedGroup] = field(default_factory=list)
    unattributed: int = 0
    renamed: list[EntryGroup] = field(default_factory=list)
    merged: list[EntryGroup] = field(default_factory=list)
    vanished: list[EntryGroup] = field(default_factory=list)
    is_confirmed: bool = True

    @property
    def is_clean(self) -> bool:
        """Whether every member was accepted for sure, under the identity that was sent."""
        unsure = self.rejected or self.unattributed or self.renamed or self.merged or self.vanished
        return self.is_confirmed and not unsure

    def __add__(self, other: "BatchOutcome") -> "BatchOutcome":
        return BatchOutcome(
            self.accepted + other.accepted,
            self.rejected + other.rejected,
            self.unattributed + other.unattributed,
            self.renamed + other.renamed,
            self.merged + other.merged,
            self.vanished + other.vanished,
            self.is_confirmed and other.is_confirmed,
        )
