"""Operations on schedules and on the sources of mappings."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from bot.web.api.cursors import Cursor
from bot.web.api.operations import Call, Operations
from bot.web.api.schemas import PageQuery, Schema, Sent, time_of
from core.automation import schedules as commands
from core.automation import sources
from core.automation.schedules import ScheduleOptions
from core.automation.sources import SourceOptions
from core.errors import ConflictError, NotFoundError
from core.store import file_sources, schedules
from core.store import schedules as stored
from core.store.api_tokens import Scope
from core.store.file_sources import Existing
from core.store.schedules import Missed, Trigger

operations = Operations("Schedules")


class Schedule(Schema):
    """When a mapping is synced without a person."""

    id: int
    mapping_id: int
    name: str
    trigger: Trigger
    cron: Annotated[str | None, Field(description="For the trigger cron: five fields.")]
    time_zone: str
    after_mapping_id: Annotated[int | None, Field(description="For the trigger after: the mapping to wait for.")]
    missed: Missed
    quiet_from: str | None
    quiet_to: str | None
    next_at: Annotated[datetime | None, Field(description="When it is due next (None: it waits, or is paused).")]
    last_at: Annotated[datetime | None, Field(description="When it fired last.")]
    is_paused: bool

    @classmethod
    def of(cls, schedule: stored.Schedule) -> "Schedule":
        """Describe a schedule."""
        return cls(
            id=schedule.id,
            mapping_id=schedule.mapping_id,
            name=schedule.name,
            trigger=schedule.trigger,
            cron=schedule.cron,
            time_zone=schedule.time_zone,
            after_mapping_id=schedule.after_mapping_id,
            missed=schedule.missed,
            quiet_from=schedule.quiet_from,
            quiet_to=schedule.quiet_to,
            next_at=None if schedule.next_due_at is None else time_of(schedule.next_due_at),
            last_at=None if schedule.last_fired_at is None else time_of(schedule.last_fired_at),
            is_paused=schedule.is_paused,
        )


class SchedulePage(Schema):
    """A page of schedules, by id."""

    items: list[Schedule]
    next: str | None


_Time = Annotated[str, Field(pattern=r"^\d\d:\d\d$")]


class ScheduleTimes(Sent):
    """When a schedule fires."""

    trigger: Trigger
    cron: Annotated[str | None, Field(max_length=100, description="For the trigger cron: five fields.")] = None
    time_zone: Annotated[str, Field(max_length=60)] = "UTC"
    after_mapping_id: Annotated[int | None, Field(ge=1, le=10**15, description="For the trigger after.")] = None
    missed: Annotated[Missed, Field(description="Times at which no process ran: fire once, or skip them.")] = (
        Missed.ONCE
    )
    quiet_from: Annotated[_Time | None, Field(description="Between these times of day it starts nothing.")] = None
    quiet_to: _Time | None = None


class ScheduleRequest(ScheduleTimes):
    """A new schedule."""

    name: Annotated[str, Field(max_length=80, description="Empty: made of the audience's name.")] = ""


class Source(Schema):
    """The place of the files of a mapping."""

    address: Annotated[str, Field(description="Without what is secret in it.")]
    archive: str | None
    existing: Existing
    looked_at: Annotated[datetime | None, Field(description="When it was listed last.")]


class SourceRequest(Sent):
    """The place of the files of a mapping, which ITERABLE_SYNC_AUDIENCE_PATHS has to permit."""

    address: Annotated[str, Field(min_length=1, max_length=2000)]
    archive: Annotated[
        str | None, Field(min_length=1, max_length=2000, description="The folder for synced files. null: they stay.")
    ] = None
    existing: Annotated[Existing, Field(description="Which of the files that are there now are synced.")] = (
        Existing.NEWEST
    )
    columns: Annotated[
        dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(max_length=200)]],
        Field(max_length=20, default_factory=dict, description="Identities by the columns that hold them."),
    ]
    sheet: Annotated[str | None, Field(min_length=1, max_length=200, description="The sheet of a workbook.")] = None


@operations.add("GET", "/schedules", Scope.READ, query=PageQuery, result=SchedulePage)
async def list_schedules(call: Call, query: PageQuery) -> SchedulePage:
    """List the schedules, by id."""
    ids = [connection.id for connection in await call.connections()]
    after = Cursor.read(query.cursor)
    async with call.engine.database.read() as db:
        known = await schedules.of_connections(db, ids)
    rest = sorted((each for each in known if after is None or each.id > after.number), key=lambda each: each.id)
    shown = rest[: query.limit]
    last = Cursor(shown[-1].id).text if len(rest) > query.limit else None
    return SchedulePage(items=[Schedule.of(each) for each in shown], next=last)


@operations.add(
    "POST",
    "/mappings/{mapping_id}/schedules",
    Scope.ADMIN,
    body=ScheduleRequest,
    result=Schedule,
    status=201,
    errors=(404, 409),
)
async def add_schedule(call: Call, body: ScheduleRequest) -> Schedule:
    """Add a schedule to a mapping that has a source."""
    _, mapping = await call.mapping(call.number("mapping_id"))
    options = ScheduleOptions(**body.model_dump())
    added = await commands.add(call.engine, mapping, options, by=call.actor, team_id=call.token.team_id)
    return Schedule.of(added)


@operations.add("PUT", "/schedules/{schedule_id}", Scope.ADMIN, body=ScheduleTimes, result=Schedule, errors=(404, 409))
async def change_schedule(call: Call, body: ScheduleTimes) -> Schedule:
    """Replace when a schedule fires. Its name stays, and a paused one stays paused."""
    schedule = await _schedule(call)
    options = ScheduleOptions(**body.model_dump())
    await commands.change(call.engine, schedule, options, by=call.actor, team_id=call.token.team_id)
    return Schedule.of(await _schedule(call))


@operations.add("DELETE", "/schedules/{schedule_id}", Scope.ADMIN, result=Schedule, errors=(404, 409))
async def remove_schedule(call: Call) -> Schedule:
    """Remove a schedule. The syncs that it has started stay."""
    schedule = await _schedule(call)
    await commands.remove(call.engine, schedule, by=call.actor, team_id=call.token.team_id)
    return Schedule.of(schedule)


@operations.add("POST", "/schedules/{schedule_id}/pause", Scope.ADMIN, result=Schedule, errors=(404, 409))
async def pause_schedule(call: Call) -> Schedule:
    """Pause a schedule until it is resumed."""
    schedule = await _schedule(call)
    if not await commands.pause(call.engine, schedule, by=call.actor, team_id=call.token.team_id):
        raise ConflictError(f"Schedule {schedule.id} is paused already.")
    return Schedule.of(await _schedule(call))


@operations.add("POST", "/schedules/{schedule_id}/resume", Scope.ADMIN, result=Schedule, errors=(404, 409))
async def resume_schedule(call: Call) -> Schedule:
    """Resume a paused schedule, from its next time on."""
    schedule = await _schedule(call)
    if not await commands.resume(call.engine, schedule, by=call.actor, team_id=call.token.team_id):
        raise ConflictError(f"Schedule {schedule.id} is not paused.")
    return Schedule.of(await _schedule(call))


@operations.add("POST", "/schedules/{schedule_id}/run-now", Scope.RUN, result=Schedule, errors=(404,))
async def run_schedule_now(call: Call) -> Schedule:
    """Look for new files of a schedule's mapping now, and sync them."""
    schedule = await _schedule(call)
    await commands.run_now(call.engine, schedule, by=call.actor, team_id=call.token.team_id)
    return Schedule.of(schedule)


@operations.add("GET", "/mappings/{mapping_id}/source", Scope.READ, result=Source, errors=(404,))
async def get_source(call: Call) -> Source:
    """Get the source of a mapping."""
    return await _source(call)


@operations.add(
    "PUT", "/mappings/{mapping_id}/source", Scope.ADMIN, body=SourceRequest, result=Source, errors=(404, 409)
)
async def set_source(call: Call, body: SourceRequest) -> Source:
    """Choose where the files of a mapping come from. Nothing is synced before a schedule fires, or runs now."""
    owner, mapping = await call.mapping(call.number("mapping_id"))
    places = call.engine.settings.audience_places(call.token.team_id or owner.team_id or "")
    options = SourceOptions(**body.model_dump())
    await sources.set_source(call.engine, mapping, options, by=call.actor, team_id=call.token.team_id, allowed=places)
    return await _source(call)


@operations.add("DELETE", "/mappings/{mapping_id}/source", Scope.ADMIN, result=Source, errors=(404, 409))
async def remove_source(call: Call) -> Source:
    """Remove the source of a mapping. Its files are synced by hand then. Schedules need it: remove them first."""
    removed = await _source(call)
    _, mapping = await call.mapping(call.number("mapping_id"))
    await sources.remove_source(call.engine, mapping, by=call.actor, team_id=call.token.team_id)
    return removed


async def _source(call: Call) -> Source:
    _, mapping = await call.mapping(call.number("mapping_id"))
    async with call.engine.database.read() as db:
        source = await file_sources.get(db, mapping.id)
    if source is None:
        raise NotFoundError(f"Mapping {mapping.id} has no source.", mapping_id=mapping.id)
    looked_at = None if source.looked_at is None else time_of(source.looked_at)
    return Source(address=source.address, archive=source.archive, existing=source.existing, looked_at=looked_at)


async def _schedule(call: Call) -> stored.Schedule:
    """Return the schedule in the path. Raises NotFoundError if the token sees none with this id."""
    schedule_id = call.number("schedule_id")
    seen = {connection.id for connection in await call.connections()}
    async with call.engine.database.read() as db:
        schedule = await schedules.by_id(db, schedule_id)
    if schedule is None or schedule.connection_id not in seen:
        raise NotFoundError(f"There is no schedule {schedule_id}.")
    return schedule
