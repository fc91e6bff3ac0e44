"""The objects of the API. They contain no key, and no person's data unless their operation says so."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator

from core.models.run import GuardName, OthersOnList, Run, RunPhase, RunStatus, SyncMode
from core.reporting.run_report import RunReport
from core.store.alerts import Alert as StoredAlert
from core.store.audit_log import AuditEntry
from core.store.connections import Connection as StoredConnection


def _require_date(value: object) -> object:
    """Raise ValueError unless a text begins with a date: Pydantic would take a number for seconds since 1970."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("a time is written as 2026-01-31T12:00:00Z")
    return value


#: A time with its zone, as RFC 3339 writes it.
RfcTime = Annotated[AwareDatetime, BeforeValidator(_require_date)]

#: The most objects on a page.
PAGE_MAX = 200


class Schema(BaseModel):
    """A base: unknown members are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid")


class Sent(Schema):
    """A base of what clients send: PostgreSQL stores no text with a NUL character, so such a text is refused."""

    @field_validator("*")
    @classmethod
    def _refuse_nul(cls, value: object) -> object:
        """Raise ValueError if a text, or a text in an object, contains NUL."""
        if any(
            isinstance(text, str) and "\0" in text for text in (value.values() if isinstance(value, dict) else [value])
        ):
            raise ValueError("a text may not contain the character NUL")
        return value


class PageQuery(Sent):
    """Which page of a list to return."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MAX, description="How many objects to return.")] = 50
    cursor: Annotated[str | None, Field(max_length=200, description="`next` of the previous page.")] = None


class SyncQuery(PageQuery):
    """Which syncs to return."""

    status: Annotated[RunStatus | None, Field(description="Only syncs with this status.")] = None
    mapping_id: Annotated[int | None, Field(ge=1, le=10**15, description="Only syncs of this mapping.")] = None
    since: Annotated[RfcTime | None, Field(description="Only syncs that were requested at this time or later.")] = None


class WaitQuery(Sent):
    """How long to wait."""

    wait: Annotated[
        float,
        Field(
            ge=0, le=60, description="Answer once the sync has ended or needs approval, after so many seconds at most."
        ),
    ] = 0


class SyncRequest(Sent):
    """A sync to start. The audience is at `address`, or in the files of a multipart request."""

    mapping_id: Annotated[
        int, Field(ge=1, le=10**15, description="The mapping that says which list follows the audience.")
    ]
    address: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=4000,
            description="A file, folder or bucket address in a place that ITERABLE_SYNC_AUDIENCE_PATHS permits.",
        ),
    ] = None
    mode: Annotated[
        SyncMode | None, Field(description="What to do with the audience (default: the mapping's mode).")
    ] = None
    audience: Annotated[
        str | None, Field(max_length=200, description="The audience's id or name, if there are several.")
    ] = None
    columns: Annotated[
        dict[Literal["email", "customer_id", "mpid"], Annotated[str, StringConstraints(min_length=1, max_length=200)]],
        Field(description="The columns of a table that hold the identities."),
    ] = {}
    sheet: Annotated[str | None, Field(max_length=200, description="The sheet of a workbook.")] = None
    dry_run: Annotated[bool, Field(description="Compute the changes, and send nothing.")] = False
    adopts: Annotated[
        OthersOnList | None,
        Field(description="Take over a list that another tool has filled, and leave or remove the others on it."),
    ] = None


class DecisionRequest(Sent):
    """A decision about the plan of a sync."""

    plan_digest: Annotated[
        str, Field(min_length=1, max_length=64, description="`plan.digest` of the sync, as it was read.")
    ]
    comment: Annotated[str | None, Field(max_length=500)] = None


class MemberQuery(Sent):
    """The person to look up."""

    identity: Annotated[str, Field(min_length=1, max_length=320, description="An email, a customer id or an mpid.")]


class Counters(Schema):
    """How many members had each outcome. They add up to `members` + `left`."""

    members: int
    left: int
    added: int
    updated: int
    removed: int
    unchanged: int
    duplicates: int
    rejected: int


class PlanGuard(Schema):
    """A limit that a plan exceeds, so that it needs approval."""

    name: GuardName
    message: str


class Plan(Schema):
    """The changes that a sync would make. `digest` identifies it in a decision."""

    digest: str | None
    to_add: int
    to_update: int
    to_remove: int
    unchanged: int
    duplicates: int
    rejected: int
    requests: int
    notes: list[str]
    guards: list[PlanGuard]


class Sync(Schema):
    """A sync of an audience to its list."""

    id: str
    mapping_id: int
    connection_id: int
    list_id: Annotated[int | None, Field(description="None: the list is created after approval.")]
    audience: str | None
    status: RunStatus
    phase: RunPhase
    waiting_for: Annotated[str | None, Field(description="The sync that has to end first.")]
    mode: SyncMode
    dry_run: bool
    started_by: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    counters: Counters
    plan: Plan | None
    rejected_by_reason: dict[str, int]
    requests: int
    retries: int
    error: str | None
    error_code: str | None
    undo_of: str | None

    @classmethod
    def of(cls, run: Run, by_reason: dict[str, int]) -> "Sync":
        """Describe a run, with its rejected members by reason."""
        report = RunReport.of(run, by_reason)
        return cls(
            id=run.id,
            mapping_id=run.mapping_id,
            connection_id=run.connection_id,
            list_id=report.list_id,
            audience=run.audience,
            status=run.status,
            phase=run.phase,
            waiting_for=run.waiting_for_run_id,
            mode=run.mode,
            dry_run=run.request.dry_run,
            started_by=run.started_by,
            created_at=time_of(run.created_at),
            started_at=_time_or_none(run.started_at),
            finished_at=_time_or_none(run.finished_at),
            counters=Counters(**run.counters.model_dump()),
            plan=_plan(run),
            rejected_by_reason=report.rejected_by_reason,
            requests=run.requests,
            retries=run.retries,
            error=run.error,
            error_code=run.error_code,
            undo_of=run.undo_of,
        )


class SyncPage(Schema):
    """A page of syncs, newest first. `next` is the cursor of the next page (None: this is the last one)."""

    items: list[Sync]
    next: str | None


class Connection(Schema):
    """An Iterable project. The key is never returned, only its last four characters."""

    id: int
    name: str
    data_center: str
    project_type: Annotated[str | None, Field(description="None: not known yet.")]
    user_id: Annotated[str, Field(description="The identity that becomes Iterable's userId.")]
    requests_per_second: float
    key_last4: str
    is_key_refused: Annotated[bool, Field(description="Whether Iterable refused the key the last time.")]

    @classmethod
    def of(cls, connection: StoredConnection) -> "Connection":
        """Describe a connection."""
        return cls(
            id=connection.id,
            name=connection.label,
            data_center=connection.data_center.value,
            project_type=connection.project_type.value if connection.project_type else None,
            user_id=connection.user_id_field.value,
            requests_per_second=connection.requests_per_second,
            key_last4=connection.key_last4,
            is_key_refused=connection.key_rejected_at is not None,
        )


class ConnectionPage(Schema):
    """The connections, by name."""

    items: list[Connection]


class Alert(Schema):
    """Something that fails, or failed."""

    id: int
    connection_id: int
    mapping_id: int | None
    sync_id: str | None
    code: str
    message: str
    opened_at: datetime
    closed_at: datetime | None
    acknowledged_by: str | None
    snoozed_until: datetime | None

    @classmethod
    def of(cls, alert: StoredAlert) -> "Alert":
        """Describe an alert."""
        return cls(
            id=alert.id,
            connection_id=alert.connection_id,
            mapping_id=alert.mapping_id,
            sync_id=alert.run_id,
            code=alert.code,
            message=alert.message,
            opened_at=time_of(alert.opened_at),
            closed_at=_time_or_none(alert.closed_at),
            acknowledged_by=alert.acknowledged_by,
            snoozed_until=_time_or_none(alert.snoozed_until),
        )


class AlertPage(Schema):
    """The alerts that are open, or were closed in the last hour, oldest first."""

    items: list[Alert]


class MemberChange(Schema):
    """The last change of a person for a mapping that is kept."""

    is_added: Annotated[bool, Field(description="Whether the person was put on the list. False: taken off.")]
    sync_id: str
    at: datetime


class MemberOnList(Schema):
    """What is known about a person for one mapping."""

    mapping_id: int
    list_id: int
    list_name: str
    is_synced: Annotated[bool, Field(description="Whether this program has put the person on the list.")]
    is_certain: Annotated[bool, Field(description="False: a request was sent, and its answer was never received.")]
    is_on_list: Annotated[bool | None, Field(description="What Iterable says now (None: it could not be asked).")]
    rejected_because: str | None
    sync_id: Annotated[str | None, Field(description="The sync that rejected the person.")]
    rejected_at: datetime | None
    last_change: MemberChange | None


class MemberLookup(Schema):
    """What is known about a person. `faults` says which connections could not be asked, by id."""

    items: list[MemberOnList]
    faults: dict[int, str]
    forgotten_in: Annotated[
        list[int],
        Field(description="The connections whose Iterable project has forgotten this email, or probably this user id."),
    ]


class AuditRecord(Schema):
    """One action: who did what, when, with the values before and after."""

    id: int
    at: datetime
    workspace: str | None
    actor: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditRecord":
        """Describe an audit entry."""
        return cls(
            id=entry.id,
            at=time_of(entry.at),
            workspace=entry.team_id,
            actor=entry.actor,
            action=entry.action.value,
            subject=entry.subject,
            before=entry.before,
            after=entry.after,
        )


class AuditPage(Schema):
    """A page of the audit log, oldest first."""

    items: list[AuditRecord]
    next: str | None


class TokenInfo(Schema):
    """The token of the request."""

    name: str
    scopes: list[str]
    workspace: Annotated[str | None, Field(description="The Slack workspace whose data it sees (None: all).")]


def _plan(run: Run) -> Plan | None:
    plan = run.plan
    if plan is None:
        return None
    return Plan(
        digest=run.plan_digest,
        to_add=plan.to_add,
        to_update=plan.to_update,
        to_remove=plan.to_remove,
        unchanged=plan.unchanged,
        duplicates=plan.duplicates,
        rejected=plan.rejected,
        requests=plan.requests,
        notes=[*filter(None, [plan.removal_note]), *plan.notes],
        guards=[PlanGuard(name=guard.name, message=guard.message) for guard in plan.guards],
    )


def time_of(seconds: float) -> datetime:
    """Return a time as RFC 3339 writes it, from UTC seconds."""
    return datetime.fromtimestamp(seconds, UTC)


def _time_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else time_of(seconds)
