"""Reports about the syncs of a connection: what happened in a week or a day. Events carry them as JSON.

No report contains an address of a member.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class ReportKind(StrEnum):
    """What a report covers."""

    WEEKLY = "weekly"
    """The last seven days."""
    DAILY = "daily"
    """The last day, if anything was synced in it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # few processes make reports


class Changes(_Part):
    """How many people syncs changed, and how many could not be synced."""

    added: int = 0
    updated: int = 0
    removed: int = 0
    rejected: int = 0

    def __add__(self, other: "Changes") -> "Changes":
        """Return the sum of both."""
        return Changes(
            added=self.added + other.added,
            updated=self.updated + other.updated,
            removed=self.removed + other.removed,
            rejected=self.rejected + other.rejected,
        )


class ReportedMapping(_Part):
    """A mapping in a report. `sizes` are the people on its list by the end of each of the report's `days`."""

    id: int
    audience: str
    list_id: int
    syncs: int = Field(description="Syncs that succeeded.")
    failed: int = Field(description="Syncs that failed.")
    changes: Changes
    sizes: list[int]


class ReportedReason(_Part):
    """How many people were rejected for a reason."""

    reason: str
    count: int
    people: str = Field(description='Who they are, in words: "without an email address".')


class ReportedAlert(_Part):
    """An alert that is open."""

    code: str
    message: str
    audience: str | None


class Report(_Part):
    """A report. Lists are cut: the mappings with the most changes come first, and the most frequent reasons."""

    kind: ReportKind
    start: datetime
    end: datetime
    time_zone: str
    days: list[str] = Field(description="The last 14 days, as dates in the time zone. Older ones precede the report.")
    changes_by_day: list[Changes] = Field(description="What was changed on each of these days.")
    changes: Changes = Field(description="What was changed from `start` to `end`.")
    syncs: int = Field(description="Syncs that succeeded.")
    failed: int = Field(description="Syncs that failed.")
    reasons: list[ReportedReason]
    mappings: list[ReportedMapping]
    mapping_count: int = Field(description="How many mappings there are, also those that are not listed.")
    waiting: int = Field(description="Syncs and mappings that wait for approval.")
    alerts: list[ReportedAlert]
    paused: list[str] = Field(description="The audiences of paused mappings.")
    not_synced: list[str] = Field(description="The audiences of active mappings without a sync that succeeded.")

    @property
    def dates(self) -> list[str]:
        """The days that it covers, as dates."""
        return self.days[-7:] if self.kind is ReportKind.WEEKLY else self.days[-1:]

    @property
    def before(self) -> Changes:
        """What was changed in the seven days before a weekly report."""
        return sum(self.changes_by_day[:-7], Changes())

    def tasks(self) -> list[str]:
        """Return what needs a person, in plain sentences."""
        sentences = []
        if self.waiting:
            verb = "approval is" if self.waiting == 1 else "approvals are"
            sentences.append(f"{self.waiting:,} {verb} waiting.")
        sentences += [f"{alert.audience or 'All mappings'}: {alert.message}" for alert in self.alerts]
        if self.paused:
            sentences.append(f"Paused: {', '.join(self.paused)}.")
        if self.not_synced:
            sentences.append(f"Not synced in these seven days: {', '.join(self.not_synced)}.")
        return sentences
