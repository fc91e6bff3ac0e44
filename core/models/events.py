"""Events for other programs: what happened to a run, an alert or a mapping. Webhooks carry them as JSON.

The version changes if a field is removed, or gets another meaning. Fields may be added without that. No event contains
an address of a member.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.models.reports import Report


class EventType(StrEnum):
    """What happened."""

    RUN_NEEDS_APPROVAL = "run.needs_approval"
    RUN_STARTED = "run.started"
    RUN_SUCCEEDED = "run.succeeded"
    RUN_FAILED = "run.failed"
    RUN_CANCELLED = "run.cancelled"
    ALERT_OPENED = "alert.opened"
    ALERT_RESOLVED = "alert.resolved"
    MAPPING_CHANGED = "mapping.changed"
    REPORT_WEEKLY = "report.weekly"
    REPORT_DAILY = "report.daily"
    TEST = "test"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # few processes send events


class EventConnection(_Part):
    """The connection that the event is about."""

    id: int
    name: str


class EventMapping(_Part):
    """The mapping that the event is about."""

    id: int
    audience: str = Field(description="The audience's name or id.")
    list_id: int = Field(description="The list in Iterable; 0 or less: there is none yet.")
    status: str = Field(description="proposed, active, paused or declined.")


class EventError(_Part):
    """Why a run failed."""

    code: str
    message: str


class EventRun(_Part):
    """A run. The counters are final once it has ended; the numbers of the plan are there once it was planned."""

    id: str
    mode: str
    started_by: str | None = Field(description="A person's id in Slack, or a schedule. null: the command line.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    counters: dict[str, int]
    to_add: int | None
    to_update: int | None
    to_remove: int | None
    guards: list[str] = Field(description="Why it needs approval: the names of the guards.")
    error: EventError | None


class EventAlert(_Part):
    """An alert. At most one is open with a `key`: that of its mapping (or connection) and of what it is about."""

    id: int
    key: str
    code: str
    message: str
    opened_at: datetime
    closed_at: datetime | None
    outcome: str | None = Field(
        description="Why it was closed: recovered, or replaced by another alert of the same key. null: it is open."
    )


class EventChange(_Part):
    """What was changed at a mapping, and who changed it."""

    action: str = Field(description="As in the audit log, such as mapping.paused.")
    by: str


class Event(_Part):
    """An event. The parts that it is not about are null."""

    version: Literal[1] = 1
    id: str
    type: EventType
    at: datetime
    workspace: str | None = Field(description="The Slack workspace of the connection.")
    connection: EventConnection | None = None
    mapping: EventMapping | None = None
    run: EventRun | None = None
    alert: EventAlert | None = None
    change: EventChange | None = None
    report: Report | None = None


def schema() -> dict[str, Any]:
    """Return the JSON Schema of an event."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Event.model_json_schema(mode="serialization")}
