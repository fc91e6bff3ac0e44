"""The words for the statuses of runs and mappings, wherever they are shown."""

from collections.abc import Mapping
from typing import Final

from core.models.run import Run, RunStatus
from core.store.mappings import MappingStatus

#: The words for the statuses of a run.
RUN_STATUSES: Final[Mapping[RunStatus, str]] = {
    RunStatus.QUEUED: "Queued",
    RunStatus.PLANNING: "Preparing preview",
    RunStatus.NEEDS_APPROVAL: "Needs approval",
    RunStatus.RUNNING: "Syncing",
    RunStatus.INTERRUPTED: "Interrupted",
    RunStatus.SUCCEEDED: "Done",
    RunStatus.FAILED: "Failed",
    RunStatus.CANCELLED: "Cancelled",
    RunStatus.PLANNED: "Preview",
    RunStatus.EXPIRED: "Expired",
}
#: The status of a cancelled run that an approver declined.
DECLINED: Final = "Declined"
#: The words for the statuses of a mapping.
MAPPING_STATUSES: Final[Mapping[MappingStatus, str]] = {
    MappingStatus.PROPOSED: "Needs approval",
    MappingStatus.ACTIVE: "Active",
    MappingStatus.PAUSED: "Paused",
    MappingStatus.DECLINED: DECLINED,
    MappingStatus.ARCHIVED: "Archived",
}


def run_status(run: Run) -> str:
    """Return the word for the status of a run: *Declined* if an approver declined it."""
    return DECLINED if run.is_declined else RUN_STATUSES[run.status]


def terminal_words(run: Run) -> str:
    """Return the words for a run's status in a sentence on the terminal."""
    return run_status(run).lower()
