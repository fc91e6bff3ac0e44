"""The use cases of schedules: add, pause, resume, remove, run now. Each is audited."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core.automation import times
from core.automation.sources import wake
from core.engine import Engine
from core.errors import ConflictError, NotFoundError, ValidationError
from core.store import audit_log, clock, connections, file_sources, mappings, schedules
from core.store.audit_log import AuditAction
from core.store.connections import Connection
from core.store.managed import check_by_hand
from core.store.mappings import AudienceMapping
from core.store.schedules import Missed, Schedule, Trigger

NAME_MAX_LENGTH = 80
# A source is looked at so often for new files, in seconds.
WATCH_INTERVAL_S = 60.0


class ScheduleNameError(ConflictError):
    """Another schedule of the connection has this name, or it is no name."""


class PrecedingMappingError(ConflictError):
    """The mapping that has to succeed first is not one that can be waited for."""


@dataclass(frozen=True, slots=True)
class ScheduleOptions:
    """What a person chooses. `cron` is for the trigger CRON, `after_mapping_id` for AFTER.

    An empty `name` is replaced by one made of the audience. Quiet hours are times of day (HH:MM), or both None.
    """

    trigger: Trigger
    name: str = ""
    cron: str | None = None
    time_zone: str = "UTC"
    after_mapping_id: int | None = None
    missed: Missed = Missed.ONCE
    quiet_from: str | None = None
    quiet_to: str | None = None


async def add(
    engine: Engine, mapping: AudienceMapping, options: ScheduleOptions, *, by: str, team_id: str | None
) -> Schedule:
    """Store a schedule of a mapping, and return it.

    Raises ValidationError if an option is invalid, and ConflictError if the mapping has no source, is fed live, or a
    schedule of its connection has the name.
    """
    cron = times.check_cron(options.cron or "") if options.trigger is Trigger.CRON else None
    time_zone = times.check_time_zone(options.time_zone)
    quiet = _quiet_hours(options)
    async with engine.database.write() as db:
        await _check_mapping(db, mapping, options)
        name = await _name(db, mapping, options)
        now = await clock.now(db)
        values: schedules.NewSchedule = {
            "connection_id": mapping.connection_id,
            "mapping_id": mapping.id,
            "name": name,
            "trigger": options.trigger,
            "cron": cron,
            "time_zone": time_zone,
            "after_mapping_id": options.after_mapping_id if options.trigger is Trigger.AFTER else None,
            "missed": options.missed,
            "quiet_from": quiet[0],
            "quiet_to": quiet[1],
            "next_due_at": first_due(options.trigger, cron, time_zone, now),
            "created_by": by,
        }
        schedule_id = await schedules.add(db, **values)
        schedule = await schedules.by_id(db, schedule_id)
        assert schedule is not None
        after = {"mapping": mapping.id, "name": name, "trigger": options.trigger.value, "cron": cron}
        await _audit(db, schedule, AuditAction.SCHEDULE_ADDED, by, team_id, after=after)
    wake(engine)
    return schedule


async def change(engine: Engine, schedule: Schedule, options: ScheduleOptions, *, by: str, team_id: str | None) -> None:
    """Replace when a schedule fires; its name stays. A paused one stays paused.

    Raises ValidationError if an option is invalid, ManagedByFileError if a file manages the schedule, and ConflictError
    as `add` does.
    """
    check_by_hand(f'the schedule "{schedule.name}"', schedule.managed, by)
    cron = times.check_cron(options.cron or "") if options.trigger is Trigger.CRON else None
    time_zone, quiet = times.check_time_zone(options.time_zone), _quiet_hours(options)
    async with engine.database.write() as db:
        mapping = await mappings.by_id(db, schedule.mapping_id)
        current = await schedules.by_id(db, schedule.id)
        if mapping is None or current is None:
            raise NotFoundError(f'Schedule "{schedule.name}" was removed meanwhile.')
        await _check_mapping(db, mapping, options)
        due = first_due(options.trigger, cron, time_zone, await clock.now(db))
        values: schedules.ScheduleTimes = {
            "trigger": options.trigger,
            "cron": cron,
            "time_zone": time_zone,
            "after_mapping_id": options.after_mapping_id if options.trigger is Trigger.AFTER else None,
            "missed": options.missed,
            "quiet_from": quiet[0],
            "quiet_to": quiet[1],
            "next_due_at": None if current.is_paused else due,
        }
        await schedules.change(db, schedule.id, **values)
        before: dict[str, object] = {"trigger": current.trigger.value, "cron": current.cron}
        after: dict[str, object] = {"trigger": options.trigger.value, "cron": cron}
        await _audit(db, schedule, AuditAction.SCHEDULE_CHANGED, by, team_id, before=before, after=after)
    wake(engine)


async def pause(engine: Engine, schedule: Schedule, *, by: str, team_id: str | None) -> bool:
    """Pause a schedule until it is resumed. Returns False if it was paused."""
    async with engine.database.write() as db:
        done = await schedules.set_paused(db, schedule.id, None, is_paused=True)
        if done:
            await _audit(db, schedule, AuditAction.SCHEDULE_PAUSED, by, team_id)
    return done


async def resume(engine: Engine, schedule: Schedule, *, by: str, team_id: str | None) -> bool:
    """Resume a paused schedule, from its next time on. Returns False if it was not paused."""
    async with engine.database.write() as db:
        next_due_at = first_due(schedule.trigger, schedule.cron, schedule.time_zone, await clock.now(db))
        done = await schedules.set_paused(db, schedule.id, next_due_at, is_paused=False)
        if done:
            await _audit(db, schedule, AuditAction.SCHEDULE_RESUMED, by, team_id)
    return done


async def remove(engine: Engine, schedule: Schedule, *, by: str, team_id: str | None) -> None:
    """Delete a schedule. Runs that it has started are not affected."""
    check_by_hand(f'the schedule "{schedule.name}"', schedule.managed, by)
    async with engine.database.write() as db:
        await schedules.remove(db, schedule.id)
        before = {"mapping": schedule.mapping_id, "name": schedule.name}
        await _audit(db, schedule, AuditAction.SCHEDULE_REMOVED, by, team_id, before=before)


async def run_now(engine: Engine, schedule: Schedule, *, by: str, team_id: str | None) -> None:
    """Look for new files of a schedule's mapping now, and sync them for the person who asks."""
    async with engine.database.write() as db:
        await file_sources.request_look(db, schedule.mapping_id, by)
        await _audit(db, schedule, AuditAction.SCHEDULE_RUN_NOW, by, team_id)
    wake(engine)


async def find(engine: Engine, text: str, connection_ids: list[int]) -> list[tuple[Connection, Schedule]]:
    """Return the schedules of these connections whose name or id equals the text; all for an empty text."""
    wanted = text.strip().casefold()
    async with engine.database.read() as db:
        pairs = [
            (await connections.by_id(db, schedule.connection_id), schedule)
            for schedule in await schedules.of_connections(db, connection_ids)
        ]
    known = [(connection, schedule) for connection, schedule in pairs if connection is not None]
    return [pair for pair in known if not wanted or wanted in (pair[1].name.casefold(), str(pair[1].id))]


async def require(engine: Engine, text: str, connection_ids: list[int]) -> Schedule:
    """Return the only schedule of these connections with a name or id. Raises NotFoundError or ConflictError."""
    pairs = await find(engine, text, connection_ids) if text.strip() else []
    if len(pairs) > 1:
        ids = ", ".join(str(schedule.id) for _, schedule in pairs)
        raise ConflictError(f'Several schedules are named "{text[:NAME_MAX_LENGTH]}". Give its id instead: {ids}.')
    if not pairs:
        raise NotFoundError(f'There is no schedule "{text[:NAME_MAX_LENGTH]}". List them to see their names.')
    return pairs[0][1]


def first_due(trigger: Trigger, cron: str | None, time_zone: str, now: float) -> float | None:
    """Return when a schedule is due next (UTC seconds); None if it waits for another mapping."""
    if trigger is Trigger.CRON:
        return times.next_time(cron or "", time_zone, now)
    return now if trigger is Trigger.NEW_FILE else None


def _quiet_hours(options: ScheduleOptions) -> tuple[str | None, str | None]:
    if options.quiet_from is None and options.quiet_to is None:
        return None, None
    if not options.quiet_from or not options.quiet_to:
        raise ValidationError("Quiet hours need a beginning and an end, such as 22:00 and 06:00.")
    return times.check_time(options.quiet_from), times.check_time(options.quiet_to)


async def _check_mapping(db: AsyncConnection, mapping: AudienceMapping, options: ScheduleOptions) -> None:
    if mapping.is_live:
        raise ConflictError(f"mParticle feeds {mapping.label} live, so it needs no schedule.", mapping_id=mapping.id)
    if await file_sources.get(db, mapping.id) is None:
        raise ConflictError(
            f"{mapping.label} has no source: its files are synced by hand. Say first where its files are.",
            mapping_id=mapping.id,
        )
    if options.trigger is not Trigger.AFTER:
        return
    other = await mappings.by_id(db, options.after_mapping_id or 0)
    if other is None or other.connection_id != mapping.connection_id:
        raise PrecedingMappingError("Choose the mapping of this connection that has to succeed first.")
    if await _leads_to(db, other.id, mapping.id):
        raise PrecedingMappingError("The mappings would wait for each other in a circle. Choose another one.")


async def _leads_to(db: AsyncConnection, start: int, goal: int) -> bool:
    """Return whether the success of `goal` makes `start` run, over any number of schedules."""
    seen, waiting = set[int](), [start]
    while waiting:
        mapping_id = waiting.pop()
        if mapping_id == goal:
            return True
        if mapping_id not in seen:
            seen.add(mapping_id)
            of_mapping = await schedules.of_mapping(db, mapping_id)
            waiting += [each.after_mapping_id for each in of_mapping if each.after_mapping_id is not None]
    return False


async def _name(db: AsyncConnection, mapping: AudienceMapping, options: ScheduleOptions) -> str:
    """Return the name that a person chose, or a free one. Raises ValidationError or ConflictError."""
    name = options.name.strip()
    if len(name) > NAME_MAX_LENGTH or not name.isprintable():
        raise ScheduleNameError(f"A schedule's name has 1 to {NAME_MAX_LENGTH} printable characters.")
    if name:
        if await schedules.named(db, mapping.connection_id, name) is not None:
            raise ScheduleNameError(f'There is a schedule "{name}" already. Choose another name.')
        return name
    base, number = mapping.label[: NAME_MAX_LENGTH - 8], 1
    while await schedules.named(db, mapping.connection_id, name := f"{base} {number}" if number > 1 else base):
        number += 1
    return name


async def _audit(
    db: AsyncConnection,
    schedule: Schedule,
    action: AuditAction,
    by: str,
    team_id: str | None,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    subject = f"schedule:{schedule.id}"
    await audit_log.add(db, team_id=team_id, actor=by, action=action, subject=subject, before=before, after=after)
