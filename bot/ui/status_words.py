"""The words for the statuses of runs and mappings, wherever they are shown."""

from collections.abc import Mapping
from typing import Final

from core.models.run import RunStatus
from core.store.mappings import MappingStatus

#: In Slack.
RUN_STATUSES: Final[Mapping[RunStatus, str]] = {
    RunStatus.QUEUED: "waits for its turn",
    RunStatus.PLANNING: "being compared with the list",
    RunStatus.NEEDS_APPROVAL: "waits for approval",
    RunStatus.RUNNING: "being sent",
    RunStatus.INTERRUPTED: "stopped half-way",
    RunStatus.SUCCEEDED: "succeeded",
    RunStatus.FAILED: "failed",
    RunStatus.CANCELLED: "cancelled",
    RunStatus.PLANNED: "dry run",
    RunStatus.EXPIRED: "expired",
}
#: In Slack, in the middle of a sentence.
MAPPING_STATUSES: Final[Mapping[MappingStatus, str]] = {
    MappingStatus.PROPOSED: "waits for approval",
    MappingStatus.ACTIVE: "active",
    MappingStatus.PAUSED: "paused",
    MappingStatus.DECLINED: "declined",
    MappingStatus.ARCHIVED: "archived",
}
#: On the terminal; the name of the status, if it is not here.
_TERMINAL: Final = {RunStatus.NEEDS_APPROVAL: "waits for approval", RunStatus.PLANNED: "planned (dry run)"}
_TERMINAL_CELL: Final = {RunStatus.NEEDS_APPROVAL: "to approve"}


def terminal_words(status: RunStatus) -> str:
    """Return the words for a run's status in a sentence on the terminal."""
    return _TERMINAL.get(status, status.value)


def terminal_cell(status: RunStatus) -> str:
    """Return the words for a run's status in a table cell on the terminal."""
    return _TERMINAL_CELL.get(status, status.value)
