"""The data of a run's messages, and phrases that they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from bot.ui.formatting import NO_CHANGES, changes, cut, escape, moment, person
from bot.ui.list_words import audiences_link, list_link
from core.models.run import Run
from core.reporting.progress import Progress
from core.reporting.run_report import RunReport
from core.sources.download_progress import DownloadProgress
from core.store.campaigns import ListCampaign
from core.store.connections import Connection
from core.store.freezes import Freeze
from core.store.mappings import is_new_list
from core.store.mparticle_accounts import MParticleAccount

COMMENT_MAX = 500
REASON_MAX = 1000


@dataclass(frozen=True, slots=True)
class PreviousSync:
    """The last successful sync of the mapping before a run.

    `list_size` is the size of the list after it, `by_reason` the number of its rejected people by reason.
    """

    at: float
    list_size: int | None
    by_reason: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunView:
    """A run with the data of its messages. `by_reason` is the number of rejected people by reason."""

    run: Run
    connection: Connection
    list_name: str | None
    by_reason: Mapping[str, int] = field(default_factory=dict)
    progress: Progress | None = None
    download: DownloadProgress | None = None
    """The progress of the audience's download, while it continues on this machine."""
    proposed_by: str | None = None
    """Who proposed the mapping, if it would be approved with the run."""
    newer_source_at: float | None = None
    """The time of the source that was synced last (UTC seconds), if it is newer than the one that waits."""
    also_fed_by: Sequence[str] = ()
    """The other mappings that feed the list."""
    campaigns: Sequence[ListCampaign] = ()
    """The campaigns of the list that are due, for a run that waits for approval."""
    freeze: Freeze | None = None
    """The freeze of the mapping, for a run that waits."""
    together: Sequence["RunView"] = ()
    """The runs that are decided together with this one, if its message shows them all, with this one first."""
    account: MParticleAccount | None = None
    """The connection's access to mParticle, which says where its audiences are."""
    previous: PreviousSync | None = None
    """The successful sync before, for a run that succeeded."""
    cancelled_by: str | None = None
    """Who cancelled the run (an actor of the audit log); None if no one did."""

    @cached_property
    def report(self) -> RunReport:
        """The numbers of the run."""
        return RunReport.of(self.run, self.by_reason)

    @property
    def audience(self) -> str:
        """The audience (mrkdwn)."""
        return cut(escape(self.run.audience or "the audience"), 150)

    @property
    def target(self) -> str:
        """The list (mrkdwn)."""
        name = cut(escape(self.list_name), 150) if self.list_name else ""
        if is_new_list(self.run.list_id):
            return f"new list {name}".rstrip()
        return name or f"list {self.run.list_id}"

    @property
    def what(self) -> str:
        """The audience and the list (mrkdwn)."""
        pair = f"{self.audience} → {self.target}"
        if self.run.request.repairs is not None:
            return f"{pair} (repair)"
        if self.run.request.empties:
            return f"{pair} (everyone off, before the mapping is deleted)"
        return f"undo of run {self.run.undo_of}, {pair}" if self.run.undo_of else pair

    @property
    def has_changed_something(self) -> bool:
        """Whether the run has changed the list."""
        counters = self.run.counters
        return bool(counters.added + counters.updated + counters.removed)


def origin(view: RunView) -> list[str]:
    """Return who started the run and who decided on it (mrkdwn, a line each)."""
    run = view.run
    lines = [f"Started by {person(run.started_by)} · {escape(view.connection.label)} · run {run.id}"]
    if run.decided_by is not None and run.decided_at is not None:
        verb = "Declined" if run.is_declined else "Approved"
        remark = f": “{comment(run.comment)}”" if run.comment else ""
        lines.append(f"{verb} by {person(run.decided_by)}, {moment(run.decided_at)}{remark}")
    return lines


def links(view: RunView) -> list[str]:
    """Return links (mrkdwn) to the list in Iterable and to the audience in mParticle."""
    return [each for each in (list_link(view.connection, view.run.list_id), audiences_link(view.account)) if each]


def comment(text: str) -> str:
    """Return a person's comment on one line (mrkdwn)."""
    return cut(escape(" ".join(text.split())), COMMENT_MAX)


def reason(text: str) -> str:
    """Return a sentence of any length for a message (mrkdwn)."""
    return cut(escape(text), REASON_MAX)


def done_words(view: RunView) -> str:
    """Return the numbers of changes to the list, without zeros."""
    counters = view.run.counters
    return changes(added=counters.added, updated=counters.updated, removed=counters.removed) or NO_CHANGES
