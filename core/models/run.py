"""A run as data: what was asked for, what planning found, how far it is, and what it counted."""

import hashlib
import json
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from core.identity import UserIdField

#: The error code of a run whose process died: a worker resumes it by itself.
PROCESS_DIED = "process_died"
# Before there was a column for it, the run that another one waits for stood in the phase.
_WAITING_IN_WORDS = "waiting for run "


class SyncMode(StrEnum):
    """What a run does with its source."""

    MIRROR = "mirror"
    """The source is the whole audience; the list is made equal to it."""
    DELTA = "delta"
    """The source is additions and removals."""
    ADD = "add"
    """Nobody is removed."""


class RunStatus(StrEnum):
    """Where a run is."""

    QUEUED = "queued"
    PLANNING = "planning"
    NEEDS_APPROVAL = "needs_approval"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    """Stopped half-way, by a person or because its process ended; can be resumed."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Stopped by an error; can be resumed once the cause is gone."""
    CANCELLED = "cancelled"
    PLANNED = "planned"
    """Was a dry run."""
    EXPIRED = "expired"
    """Waited too long for approval. Nothing was sent; it can be planned again."""

    @property
    def is_active(self) -> bool:
        """Whether a process should be at work on it."""
        return self in (RunStatus.QUEUED, RunStatus.PLANNING, RunStatus.RUNNING)

    @property
    def is_resumable(self) -> bool:
        """Whether it can be taken up again."""
        return self in (RunStatus.INTERRUPTED, RunStatus.FAILED, RunStatus.NEEDS_APPROVAL) or self.is_active


class RunPhase(StrEnum):
    """What a run that is being worked on is doing."""

    NONE = ""
    """Not begun."""
    WAITING = "waiting"
    """Another run has to end first: `waiting_for_run_id`."""
    PLANNING = "planning"
    """Reads the source and compares it with the ledger."""
    UPLOADING = "uploading"


class StopReason(StrEnum):
    """Why a run that is being worked on is to stop."""

    CANCEL = "cancel"
    """A person cancelled it: it ends."""
    INTERRUPT = "interrupt"
    """Its process ends, or a run that waits for it was stopped: it can be resumed."""


class CancelReason(StrEnum):
    """Why a run ended as CANCELLED, other than by a person who cancelled it."""

    DECLINED = "declined"
    """An approver said no."""
    SUPERSEDED = "superseded"
    """A later run carries the whole audience."""
    UNDONE = "undone"
    """It had stopped half-way, and a later run takes back what it did."""


class GuardName(StrEnum):
    """The limits past which a run waits for approval."""

    EMPTY_AUDIENCE = "empty_audience"
    MASS_REMOVAL = "mass_removal"
    OTHER_AUDIENCE = "other_audience"
    NEW_MAPPING = "new_mapping"
    """Nobody has approved the mapping yet."""
    REMOVALS = "removals"
    """The mapping asks before anybody is taken off."""
    MASS_ADDITION = "mass_addition"
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
    UNDO = "undo"
    """Taking back what a run did is always asked about."""


class Guard(BaseModel):
    """A limit that a plan has passed, in words for a person."""

    model_config = ConfigDict(frozen=True)

    name: GuardName
    message: str


class RunRequest(BaseModel):
    """What was asked for. `audience` selects one where a file carries several."""

    model_config = ConfigDict(frozen=True)

    path: str
    more_paths: tuple[str, ...] = ()
    """Further files of the same audience."""
    columns: dict[str, str] = {}
    """The columns that a person has chosen: `email`, `customer_id` or `mpid`, and the name of the column."""
    sheet: str | None = None
    """The sheet of a workbook."""
    audience: str | None = None
    mode: SyncMode | None = None
    dry_run: bool = False
    allow_empty: bool = False
    approved: bool = False
    """A person has approved what the guards ask about."""
    live: bool = False
    """The members are those that the inbox has for this run, not a file."""
    sealed_addresses: str | None = None
    """The addresses, encrypted, if `path` and `more_paths` are only parts of them (core/runs/addresses.py)."""
    team_id: str | None = None
    """The workspace of the person who asked for it: the source has to be in one of its places."""


class PlanNumbers(BaseModel):
    """The numbers of a plan that was discarded, to say what changed."""

    model_config = ConfigDict(frozen=True)

    to_add: int = 0
    to_update: int = 0
    to_remove: int = 0


class RunPlan(BaseModel):
    """What planning found, before anything is sent."""

    model_config = ConfigDict(frozen=True)

    shape: str = ""
    file_name: str = ""
    audience_id: str | None = None
    audience_name: str | None = None
    as_of: datetime | None = None
    rows_read: int = 0
    """Data rows of the source. Each is a member or has left, is merged with another row of the same person, or tells of
    a person about whom something newer is known."""
    rows_merged: int = 0
    notes: tuple[str, ...] = ()
    """What a person should know of how the source was read, a sentence each."""
    members: int = 0
    left: int = 0
    to_add: int = 0
    to_update: int = 0
    to_remove: int = 0
    unchanged: int = 0
    duplicates: int = 0
    rejected: int = 0
    ledger_size: int = 0
    """Members of the mapping that the ledger held before."""
    requests: int = 0
    seconds: float = 0.0
    """An estimate of the time at the connection's rate."""
    guards: tuple[Guard, ...] = ()
    source_digest: str = ""
    """SHA-256 of the bytes that were read, in hexadecimal; "" if there was no file."""
    source_at: float | None = None
    """Of when the source is (UTC seconds): its newest time stamp, else when these bytes were read first."""
    replaces: PlanNumbers | None = None
    """The numbers of the plan that was shown before this one."""


class RunCounters(BaseModel):
    """The numbers of a run. Each member is in exactly one of the last six (so that they add up: see `missing`)."""

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
        """How many members are not accounted for: 0 when the numbers add up."""
        outcomes = self.added + self.updated + self.removed + self.unchanged + self.duplicates + self.rejected
        return self.members + self.left - outcomes


class Run(BaseModel):
    """One sync of one mapping, as stored."""

    model_config = ConfigDict(frozen=True)

    id: str
    mapping_id: int
    connection_id: int
    list_id: int
    status: RunStatus
    phase: RunPhase
    waiting_for_run_id: str | None = None
    """The run that has to end first: while the phase is WAITING, or where this run failed because of it."""
    mode: SyncMode
    user_id_field: UserIdField
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
    created_at: float
    started_at: float | None
    finished_at: float | None
    approval_wait_s: float = 0.0
    """Seconds since its start in which it waited for a person, or to be resumed."""
    error: str | None
    error_code: str | None
    cancel_reason: CancelReason | None = None
    started_by: str | None = None
    channel: str | None = None
    decided_by: str | None = None
    decided_at: float | None = None
    comment: str | None = None
    undo_of: str | None = None
    list_size: int | None = None
    is_live: bool = False
    plan_digest: str | None = None
    """Of the plan as it stands: an approval names it. None while there is no plan, or it was discarded."""
    approved_digest: str | None = None
    """Of the plan that a person approved."""
    shown_digest: str | None = None
    """Of the plan that a terminal printed last."""
    source_at: float | None = None
    """Of when the source is that the plan was made from (UTC seconds)."""
    discarded_plan: RunPlan | None = None
    """The plan that was shown before, if it was discarded and no other has taken its place."""

    @property
    def is_approved(self) -> bool:
        """Whether a person approved the plan as it stands."""
        return self.plan_digest is not None and self.plan_digest == self.approved_digest

    @property
    def is_orphan(self) -> bool:
        """Whether its process died while it was at work on it."""
        return self.status is RunStatus.INTERRUPTED and self.error_code == PROCESS_DIED

    @property
    def is_waiting(self) -> bool:
        """Whether it waits until another run has ended."""
        return self.phase is RunPhase.WAITING and self.status.is_active

    @property
    def is_declined(self) -> bool:
        """Whether an approver said no."""
        return self.cancel_reason is CancelReason.DECLINED

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Run":
        """Make a run of its row, also of one that a process of an earlier version wrote."""
        plan, discarded, phase = row["plan"], row["discarded_plan"], row["phase"]
        waiting = (
            {"phase": RunPhase.WAITING, "waiting_for_run_id": phase.removeprefix(_WAITING_IN_WORDS)}
            if phase.startswith(_WAITING_IN_WORDS)
            else {}
        )
        return cls.model_validate(
            {
                **row,
                **waiting,
                "request": RunRequest.model_validate_json(row["request"]),
                "plan": RunPlan.model_validate_json(plan) if plan else None,
                "discarded_plan": RunPlan.model_validate_json(discarded) if discarded else None,
                "counters": {name: row[name] for name in RunCounters.model_fields},
            }
        )


def digest_of(run: Run, plan: RunPlan, mode: SyncMode, revision: int) -> str:
    """Return the digest of a plan: of all that a person who approves it relies on.

    That is the content of the source, the state of the ledger, where it goes and how, and the numbers.
    """
    values = [
        "plan",
        run.id,
        run.mapping_id,
        run.user_id_field.value,
        mode.value,
        revision,
        plan.model_dump(mode="json", exclude={"seconds"}),
    ]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


class RunStoppedError(Exception):
    """A run was asked to stop, and did."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason = reason
