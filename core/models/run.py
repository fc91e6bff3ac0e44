"""A run as a value: its request, plan, status and counters."""

import hashlib
import json
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from core.identity import ProjectType, UserIdField

#: The error code of a run whose process died: a worker resumes it by itself.
PROCESS_DIED = "process_died"
#: Audit entries and runs name a schedule as their actor: this prefix, and the schedule's name.
SCHEDULE_PREFIX = "schedule "
#: The shape of a repair's plan. The shape of other plans is the kind of their file.
REPAIR = "repair"
#: The shape of a plan that takes everyone off.
EMPTYING = "emptying"
# Earlier versions stored the id of the awaited run in the phase, after this prefix.
_WAITING_IN_WORDS = "waiting for run "


class SyncMode(StrEnum):
    """What a run does with its source."""

    MIRROR = "mirror"
    """The source is the whole audience: make the list equal to it."""
    DELTA = "delta"
    """The source contains additions and removals."""
    ADD = "add"
    """No member is removed."""


class RunStatus(StrEnum):
    """The status of a run."""

    QUEUED = "queued"
    PLANNING = "planning"
    NEEDS_APPROVAL = "needs_approval"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    """Stopped partway, by a person or because its process ended. Can be resumed."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Stopped by an error. Can be resumed once the cause is fixed."""
    CANCELLED = "cancelled"
    PLANNED = "planned"
    """A dry run that has ended."""
    EXPIRED = "expired"
    """Awaited approval for too long. Nothing was sent; it can be planned again."""

    @property
    def is_active(self) -> bool:
        """Whether a process should be executing the run."""
        return self in (RunStatus.QUEUED, RunStatus.PLANNING, RunStatus.RUNNING)

    @property
    def is_resumable(self) -> bool:
        """Whether the run can be resumed."""
        return self in (RunStatus.INTERRUPTED, RunStatus.FAILED, RunStatus.NEEDS_APPROVAL) or self.is_active


class RunPhase(StrEnum):
    """What an active run is doing."""

    NONE = ""
    """Not started."""
    WAITING = "waiting"
    """Waits for the end of another run, `waiting_for_run_id`."""
    PLANNING = "planning"
    """Reads the source and compares it to the ledger."""
    UPLOADING = "uploading"
    FROZEN = "frozen"
    """Waits until its mapping is no longer frozen."""


class OthersOnList(StrEnum):
    """What a run that takes a list over does with the people on it who are not in the audience."""

    LEAVE = "leave"
    """They stay, and no later run removes them."""
    REMOVE = "remove"
    """They leave the list, like members who left the audience."""


class Repair(StrEnum):
    """What a run that repairs a list does."""

    MISSING = "missing"
    """It adds people again who are missing on the list."""
    BOTH = "both"
    """It removes people as well who are on the list and not ours."""


class StopReason(StrEnum):
    """Why an active run is to stop."""

    CANCEL = "cancel"
    """A person cancelled it: it ends as CANCELLED."""
    INTERRUPT = "interrupt"
    """Its process ends, or a run that waits for it was stopped. Can be resumed."""


class CancelReason(StrEnum):
    """Why a run is CANCELLED, if no person cancelled it."""

    DECLINED = "declined"
    """An approver declined it."""
    SUPERSEDED = "superseded"
    """A later run syncs the whole audience."""
    UNDONE = "undone"
    """It had stopped partway, and a later run undoes it."""


class GuardName(StrEnum):
    """The guards: limits beyond which a run needs approval."""

    EMPTY_AUDIENCE = "empty_audience"
    MASS_REMOVAL = "mass_removal"
    OTHER_AUDIENCE = "other_audience"
    NEW_MAPPING = "new_mapping"
    """The mapping is not approved yet."""
    REMOVALS = "removals"
    """The mapping requires approval of removals."""
    MASS_ADDITION = "mass_addition"
    MASS_REPLACEMENT = "mass_replacement"
    """Many members would leave the list under their former identity and join it under another."""
    UNUSUAL_SIZE = "unusual_size"
    """The audience is far larger or smaller than in the mapping's last runs."""
    OLDER_SOURCE = "older_source"
    """The source is older than the one that was synced last."""
    CHANGED_PLAN = "changed_plan"
    """Another plan was shown or approved before, and this one does not stay within it."""
    SHARED_CUSTOMER_ID = "shared_customer_id"
    """Many members have the customer id of another one, and would be rejected."""
    VANISHED_IDENTITIES = "vanished_identities"
    """Many members have lost an identity since the last run."""
    PROJECT_TYPE = "project_type"
    """The mapping was synced before, when its Iterable project counted as one of another type."""
    PROFILE_MERGES = "profile_merges"
    """Profiles may be merged in Iterable, which can't be undone."""
    UNDO = "undo"
    """An undo always needs approval."""
    REPAIR = "repair"
    """A repair of a list always needs approval."""
    EMPTYING = "emptying"
    """Taking everyone off a list always needs approval."""
    ADOPTED_LIST = "adopted_list"
    """The run takes over a list that another tool has filled."""


class Guard(BaseModel):
    """A guard that a plan triggered, with a message for a person."""

    model_config = ConfigDict(frozen=True)

    name: GuardName
    message: str


class RunRequest(BaseModel):
    """The request for a run. `audience` selects one if the file contains several."""

    model_config = ConfigDict(frozen=True)

    path: str
    more_paths: tuple[str, ...] = ()
    """Further files of the same audience."""
    columns: dict[str, str] = {}
    """The columns that a person has chosen: `email`, `customer_id` or `mpid`, and the name of the column."""
    sheet: str | None = None
    """The sheet of a workbook."""
    fields: dict[str, str] | None = None
    """The data fields of a dry run, if they are not those of the mapping."""
    audience: str | None = None
    mode: SyncMode | None = None
    dry_run: bool = False
    allow_empty: bool = False
    approved: bool = False
    """A person has approved the guards in advance."""
    adopts: OthersOnList | None = None
    """The run takes the list over: people in the audience who are on it become ours, and this happens to the others."""
    repairs: Repair | None = None
    """The run repairs the list: what the ledger says is compared with who is on it, and no source is read."""
    empties: bool = False
    """The run takes everyone off the list that the mapping put there, and the mapping is deleted afterwards."""
    full: bool = False
    """Members that are unchanged are sent as well."""
    live: bool = False
    """The members come from the inbox changes that this run has claimed, not from a file."""
    sealed_addresses: str | None = None
    """The addresses, encrypted, if `path` and `more_paths` are only parts of them (core/runs/addresses.py)."""
    group: str | None = None
    """The proposal of several mappings (variants of an A/B test) that the run belongs to. They are decided together."""
    team_id: str | None = None
    """The workspace of the person who requested the run. The source must be in one of the places of that workspace."""
    on_behalf_of: str | None = None
    """Who chose the source of the file, and so decided which places may be read. None: who started the run."""


class PlanNumbers(BaseModel):
    """The numbers of a discarded plan, to show what changed."""

    model_config = ConfigDict(frozen=True)

    to_add: int = 0
    to_update: int = 0
    to_remove: int = 0
    to_merge: int = 0


class RunPlan(BaseModel):
    """The plan: the result of planning, before anything is sent."""

    model_config = ConfigDict(frozen=True)

    shape: str = ""
    file_name: str = ""
    audience_id: str | None = None
    audience_name: str | None = None
    as_of: datetime | None = None
    """The newest time stamp of the source."""
    oldest: datetime | None = None
    """Its oldest one."""
    rows_read: int = 0
    """Data rows of the source. Each is a member or a leaver, is merged with another row of the same person, or is older
    than the latest change of that person."""
    rows_merged: int = 0
    notes: tuple[str, ...] = ()
    """What people should know about how the source was read, a sentence each."""
    fields: dict[str, str] = {}
    """The data fields that are sent: names in Iterable by names in the source."""
    other_columns: tuple[str, ...] = ()
    """The columns of a table that are not used as an identity: they can be chosen as data fields."""
    removal_note: str = ""
    """What a person should know of removals that the source may leave out; "" if it does not."""
    members: int = 0
    left: int = 0
    to_add: int = 0
    to_update: int = 0
    to_remove: int = 0
    unchanged: int = 0
    duplicates: int = 0
    rejected: int = 0
    excluded: int = 0
    """Of those rejected, the people that an exclusion of the mapping keeps off the list."""
    settings: str = ""
    """The digest of the mapping's settings that decide who is on the list; "" in plans of earlier versions."""
    forgotten: int = 0
    """Of those rejected, the people that Iterable has forgotten. They are not sent."""
    to_merge: int = 0
    """Placeholder profiles that are merged if Iterable has another profile with the person's address. 0 if the
    connection does not allow merging."""
    ledger_size: int = 0
    """The number of people that the mapping had on its list before the run. If the source is not the whole audience, a
    person with several profiles counts once for each."""
    requests: int = 0
    seconds: float = 0.0
    """An estimate of the time at the connection's rate."""
    guards: tuple[Guard, ...] = ()
    source_digest: str = ""
    """SHA-256 of the bytes that were read, in hexadecimal; "" if there was no file."""
    source_at: float | None = None
    """The time of the source (UTC seconds): its newest time stamp, or else when these bytes were first read."""
    replaces: PlanNumbers | None = None
    """The numbers of the plan that was shown before this one."""


class RunCounters(BaseModel):
    """The counters of a run. Each member counts in exactly one of the last six, so that they add up (see `missing`)."""

    model_config = ConfigDict(frozen=True)

    members: int = 0
    left: int = 0
    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    duplicates: int = 0
    rejected: int = 0

    @property
    def missing(self) -> int:
        """The number of members that are not accounted for: 0 if the numbers add up."""
        outcomes = self.added + self.updated + self.removed + self.unchanged + self.duplicates + self.rejected
        return self.members + self.left - outcomes


class Run(BaseModel):
    """A run as stored: one sync of one mapping."""

    model_config = ConfigDict(frozen=True)

    id: str
    mapping_id: int
    connection_id: int
    list_id: int
    status: RunStatus
    phase: RunPhase
    waiting_for_run_id: str | None = None
    """The run that has to end first, while the phase is WAITING or if this run failed because of it."""
    mode: SyncMode
    user_id_field: UserIdField
    project_type: ProjectType = ProjectType.EMAIL
    """The type of project that the run was planned for."""
    rate: float
    audience: str | None
    request: RunRequest
    plan: RunPlan | None
    ledger_revision: int | None
    attempt: int
    worker_id: str | None
    stop_requested: StopReason | None
    counters: RunCounters
    requests: int
    retries: int
    throttled: int
    merged: int = 0
    """Placeholder profiles that were merged into the person's other profile. They count as updated, too."""
    created_at: float
    started_at: float | None
    finished_at: float | None
    approval_wait_s: float = 0.0
    """The part of its duration, in seconds, in which it waited: for a decision, a freeze to end, or to be resumed."""
    error: str | None
    error_code: str | None
    cancel_reason: CancelReason | None = None
    started_by: str | None = None
    """A person in Slack, or a schedule (core.store.schedules.Schedule.actor). None: the command line."""
    channel: str | None = None
    decided_by: str | None = None
    decided_at: float | None = None
    comment: str | None = None
    undo_of: str | None = None
    list_size: int | None = None
    is_live: bool = False
    plan_digest: str | None = None
    """The digest of the current plan, which an approval refers to. None if there is no plan."""
    approved_digest: str | None = None
    """The digest of the plan that a person approved."""
    shown_digest: str | None = None
    """The digest of the plan that the command line printed last."""
    source_at: float | None = None
    """The time of the plan's source (UTC seconds)."""
    discarded_plan: RunPlan | None = None
    """The discarded plan that was shown before, until another plan replaces it."""

    retry_at: float | None = None
    """When a failed run is retried without a person. None: never."""
    auto_retries: int = 0
    """How often it was retried without a person."""
    column_candidates: dict[str, list[str]] = {}
    """The columns between which a person has to choose, by what they would be chosen for (see RunRequest.columns)."""
    is_purged: bool = False
    """Its changes and rejections were deleted, or it had none."""

    @property
    def is_approved(self) -> bool:
        """Whether a person approved the current plan."""
        return self.plan_digest is not None and self.plan_digest == self.approved_digest

    @property
    def asked_by(self) -> str | None:
        """The person who asked for the run: of a scheduled one, the person who chose its source."""
        return self.request.on_behalf_of if self.is_scheduled else self.started_by

    @property
    def is_compared_when_approved(self) -> bool:
        """Whether it is compared with the ledger again once it is approved, so that no run waits for that."""
        return self.undo_of is not None or self.request.repairs is not None or self.request.empties

    @property
    def is_scheduled(self) -> bool:
        """Whether a schedule started the run."""
        return self.started_by is not None and self.started_by.startswith(SCHEDULE_PREFIX)

    @property
    def is_orphan(self) -> bool:
        """Whether its process died during the run."""
        return self.status is RunStatus.INTERRUPTED and self.error_code == PROCESS_DIED

    @property
    def is_waiting(self) -> bool:
        """Whether the run waits for the end of another run."""
        return self.phase is RunPhase.WAITING and self.status.is_active

    @property
    def is_frozen(self) -> bool:
        """Whether the run waits because its mapping is frozen."""
        return self.phase is RunPhase.FROZEN and self.status.is_active

    @property
    def is_declined(self) -> bool:
        """Whether an approver declined the run."""
        return self.cancel_reason is CancelReason.DECLINED

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Run":
        """Build a run from its row, including rows that an earlier version wrote."""
        plan, discarded, phase = row["plan"], row["discarded_plan"], row["phase"]
        candidates = row["column_candidates"]
        waiting = (
            {"phase": RunPhase.WAITING, "waiting_for_run_id": phase.removeprefix(_WAITING_IN_WORDS)}
            if phase.startswith(_WAITING_IN_WORDS)
            else {}
        )
        return cls.model_validate(
            {
                **row,
                **waiting,
                "project_type": row["project_type"] or ProjectType.EMAIL,
                "request": RunRequest.model_validate_json(row["request"]),
                "plan": RunPlan.model_validate_json(plan) if plan else None,
                "discarded_plan": RunPlan.model_validate_json(discarded) if discarded else None,
                "column_candidates": json.loads(candidates) if candidates else {},
                "counters": {name: row[name] for name in RunCounters.model_fields},
            }
        )


def digest_of(run: Run, plan: RunPlan, mode: SyncMode, revision: int) -> str:
    """Return the digest of a plan, over everything that an approver relies on.

    That is the content of the source, the ledger revision, the mapping, the mode, and the numbers.
    """
    values = [
        "plan",
        run.id,
        run.mapping_id,
        run.user_id_field.value,
        run.project_type.value,
        mode.value,
        revision,
        plan.model_dump(mode="json", exclude={"seconds"}),
    ]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


class RunFrozenError(Exception):
    """The changes that a run has left wait until its mapping is no longer frozen."""


class RunStoppedError(Exception):
    """A run has stopped on request, for this reason."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason = reason
