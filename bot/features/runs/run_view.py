"""What the messages of a run are made of, and the words that they share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.ui.formatting import cut, escape, moment, person
from core.models.run import Run, RunStatus
from core.reporting.progress import Progress
from core.reporting.run_report import RunReport
from core.store.connections import Connection

COMMENT_MAX = 500
REASON_MAX = 1000
#: The error of a run that was declined.
DECLINED = "Declined."
JOURNEYS = "Joining a list can start journeys in Iterable, and so send messages."


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with all that is told of it. `by_reason`: how many were rejected for each reason."""

    run: Run
    connection: Connection
    list_name: str | None
    by_reason: Mapping[str, int] = field(default_factory=dict)
    moment: Progress | None = None

    @property
    def report(self) -> RunReport:
        """The numbers."""
        return RunReport.of(self.run, self.by_reason)

    @property
    def audience(self) -> str:
        """What a person calls the audience (mrkdwn)."""
        return cut(escape(self.run.audience or "the audience"), 150)

    @property
    def target(self) -> str:
        """What a person calls the list (mrkdwn)."""
        name = f"“{cut(escape(self.list_name), 150)}”" if self.list_name else ""
        return f"list {name} ({self.run.list_id})" if name else f"list {self.run.list_id}"

    @property
    def what(self) -> str:
        """What it is about (mrkdwn): the audience and the list."""
        pair = f"{self.audience} to {self.target}"
        return f"undo of run {self.run.undo_of}, {pair}" if self.run.undo_of else pair

    @property
    def is_declined(self) -> bool:
        """Whether a person said no."""
        return self.run.status is RunStatus.CANCELLED and self.run.error == DECLINED

    @property
    def has_changed_something(self) -> bool:
        """Whether anything was done to the list."""
        counters = self.run.counters
        return bool(counters.added + counters.updated + counters.removed)


def origin(story: RunView) -> list[str]:
    """Who started it and who decided (mrkdwn), a line each."""
    run = story.run
    lines = [f"Started by {person(run.started_by)} · connection {escape(story.connection.label)} · run {run.id}"]
    if run.decided_by is not None and run.decided_at is not None:
        verb = "Declined" if story.is_declined else "Approved"
        said = f": “{comment(run.comment)}”" if run.comment else ""
        lines.append(f"{verb} by {person(run.decided_by)}, {moment(run.decided_at)}{said}")
    return lines


def comment(text: str) -> str:
    """A person's comment (mrkdwn), on one line."""
    return cut(escape(" ".join(text.split())), COMMENT_MAX)


def reason(text: str) -> str:
    """A sentence that may be long (mrkdwn)."""
    return cut(escape(text), REASON_MAX)


def done_words(story: RunView) -> str:
    """What was done to the list, the numbers first."""
    counters = story.run.counters
    parts = [f"{counters.added:,} added", f"{counters.updated:,} updated", f"{counters.removed:,} removed"]
    return ", ".join(parts)
