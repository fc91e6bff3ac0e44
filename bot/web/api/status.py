"""The status: what needs a person, what is under way, and how each mapping stands."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import Alert, Schema, Sync, time_of
from core.reporting.status import StatusOfMapping, read_status
from core.store import rejections
from core.store.api_tokens import Scope
from core.store.mappings import MappingStatus, is_new_list

operations = Operations("Status")


class MappingState(Schema):
    """How a mapping stands."""

    mapping_id: int
    name: str
    list_id: Annotated[int | None, Field(description="None: no list is chosen yet, or it is created after approval.")]
    status: MappingStatus
    is_frozen: Annotated[bool, Field(description="Whether changes wait until a time, or until a campaign was sent.")]
    last_sync_id: Annotated[str | None, Field(description="Its newest sync, which may be under way.")]
    last_sync_status: str | None
    last_sync_at: Annotated[datetime | None, Field(description="When its newest sync was requested.")]

    @classmethod
    def of(cls, row: StatusOfMapping) -> "MappingState":
        """Describe a mapping with its newest sync."""
        mapping, last = row.mapping, row.last
        return cls(
            mapping_id=mapping.id,
            name=mapping.label,
            list_id=None if not mapping.list_id or is_new_list(mapping.list_id) else mapping.list_id,
            status=mapping.status,
            is_frozen=row.freeze is not None,
            last_sync_id=None if last is None else last.id,
            last_sync_status=None if last is None else last.status.value,
            last_sync_at=None if last is None else time_of(last.created_at),
        )


class Status(Schema):
    """The status of everything that the token sees. Alerts and syncs are in the order in which they began."""

    alerts: Annotated[list[Alert], Field(description="The alerts that are open.")]
    waiting: Annotated[list[Sync], Field(description="The syncs that wait for approval.")]
    under_way: list[Sync]
    mappings: Annotated[list[MappingState], Field(description="Without those that are archived or were declined.")]


@operations.add("GET", "/status", Scope.READ, result=Status)
async def get_status(call: Call) -> Status:
    """Get the status: open alerts, syncs that wait for approval or are under way, and how each mapping stands."""
    status = await read_status(call.engine, call.tenant)
    unfinished = (*status.waiting, *status.under_way)
    async with call.engine.database.read() as db:
        by_run = await rejections.by_reason_of(db, [run.id for run in unfinished])
    return Status(
        alerts=[Alert.of(each) for each in status.alerts],
        waiting=[Sync.of(run, by_run.get(run.id, {})) for run in status.waiting],
        under_way=[Sync.of(run, by_run.get(run.id, {})) for run in status.under_way],
        mappings=[MappingState.of(each) for each in status.mappings],
    )
