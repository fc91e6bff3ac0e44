"""`iterable-sync schedules`: when mappings are synced without a person."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import options
from bot.cli.commands.mappings import load_mapping
from bot.cli.exit_codes import ExitCode
from bot.cli.json_output import ScheduleList
from bot.cli.session import Session, print_json, run_command

if TYPE_CHECKING:
    from core.engine import Engine
    from core.store.schedules import Schedule, Trigger

app = typer.Typer(help="When mappings are synced without a person.")

Name = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The name or id of a schedule.")]


@app.command()
def add(
    mapping_id: options.MappingId,
    hourly: Annotated[bool, typer.Option("--hourly", help="Each hour.")] = False,
    daily: Annotated[str | None, typer.Option(metavar="HH:MM", help="Each day at this time.")] = None,
    weekdays: Annotated[str | None, typer.Option(metavar="HH:MM", help="Monday to Friday at this time.")] = None,
    weekly: Annotated[
        str | None, typer.Option(metavar="DAY HH:MM", help='On this day of the week, such as "monday 08:00".')
    ] = None,
    cron: Annotated[str | None, typer.Option(help='A cron expression of five fields, such as "0 8 * * 1-5".')] = None,
    new_file: Annotated[bool, typer.Option("--new-file", help="When a new file is in the mapping's source.")] = False,
    after: Annotated[
        int | None, typer.Option(metavar="MAPPING", help="When a sync of this mapping has succeeded.")
    ] = None,
    name: Annotated[str, typer.Option(help="Its name.", show_default="the audience's")] = "",
    time_zone: Annotated[str, typer.Option(help="The time zone of its times, such as Europe/Berlin.")] = "UTC",
    missed: Annotated[
        options.MissedChoice, typer.Option(help="What to do about times at which no process ran: sync once, or skip.")
    ] = options.MissedChoice.ONCE,
    quiet: Annotated[
        str | None, typer.Option(metavar="HH:MM-HH:MM", help="Start nothing between these times of day.")
    ] = None,
) -> ExitCode:
    """Add a schedule to a mapping that has a source (`mappings set-source`)."""
    triggers = {"hourly": hourly, "daily": daily, "weekdays": weekdays, "weekly": weekly, "cron": cron}
    given = {key: value for key, value in triggers.items() if value} | ({"new": True} if new_file else {})
    if len(given) + (after is not None) != 1:
        raise typer.BadParameter("give one of --hourly, --daily, --weekdays, --weekly, --cron, --new-file and --after.")
    kind, value = next(iter(given.items())) if given else ("after", True)
    text = value if isinstance(value, str) else ""
    return run_command(
        lambda session: _add(
            session, mapping_id, kind, text, after, name=name, time_zone=time_zone, missed=missed.value, quiet=quiet
        )
    )


@app.command("list")
def list_(as_json: options.Json = False) -> ExitCode:
    """List the schedules."""
    report = ScheduleList() if as_json else None
    return run_command(_list, report=report)


@app.command()
def pause(schedule: Name) -> ExitCode:
    """Pause a schedule until it is resumed."""
    return run_command(lambda session: _pause(session, schedule))


@app.command()
def resume(schedule: Name) -> ExitCode:
    """Resume a paused schedule, from its next time on."""
    return run_command(lambda session: _resume(session, schedule))


@app.command()
def remove(schedule: Name) -> ExitCode:
    """Remove a schedule. The syncs that it has started stay."""
    return run_command(lambda session: _remove(session, schedule))


@app.command("run-now")
def run_now(schedule: Name) -> ExitCode:
    """Look for new files of a schedule's mapping now. `serve` or `worker` syncs them."""
    return run_command(lambda session: _run_now(session, schedule))


async def _add(
    session: Session,
    mapping_id: int,
    kind: str,
    value: str,
    after: int | None,
    *,
    name: str,
    time_zone: str,
    missed: str,
    quiet: str | None,
) -> ExitCode:
    from bot.cli.render import when
    from bot.ui.schedule_words import phrase
    from core.automation import schedules
    from core.automation.schedules import ScheduleOptions
    from core.store.audit_log import COMMAND_LINE
    from core.store.schedules import Missed

    quiet_from, quiet_to = _quiet_hours(quiet)
    trigger, cron = _trigger(kind, value)
    chosen = ScheduleOptions(
        trigger=trigger,
        name=name,
        cron=cron,
        time_zone=time_zone,
        after_mapping_id=after,
        missed=Missed(missed),
        quiet_from=quiet_from,
        quiet_to=quiet_to,
    )
    async with session.engine() as engine:
        mapping = await load_mapping(engine, mapping_id)
        schedule = await schedules.add(engine, mapping, chosen, by=COMMAND_LINE, team_id=None)
    due = f", next on {when(schedule.next_due_at)}" if cron and schedule.next_due_at else ""
    session.terminal.line(f'Schedule {schedule.id} "{schedule.name}": {phrase(schedule)}{due}.')
    session.terminal.say("`iterable-sync serve` or `iterable-sync worker` has to run at that time.", "dim")
    return ExitCode.OK


async def _list(session: Session) -> ExitCode:
    from bot.cli.render import table, when
    from bot.ui.schedule_words import phrase
    from core.store import mappings, schedules

    async with session.engine() as engine, engine.database.read() as db:
        everyone = await schedules.everyone(db)
        by_id = await mappings.by_ids(db, {each.mapping_id for each in everyone})
    if session.terminal.as_json:
        print_json(ScheduleList([_described(each) for each in everyone]))
        return ExitCode.OK
    if not everyone:
        session.terminal.line("There are no schedules yet. Add one: iterable-sync schedules add MAPPING --daily 08:00")
        return ExitCode.OK
    rows = [
        (
            str(each.id),
            each.name,
            by_id[each.mapping_id].label,
            phrase(each),
            "paused" if each.is_paused else when(each.next_due_at),
            when(each.last_fired_at),
        )
        for each in everyone
    ]
    session.terminal.show(
        table(("ID", "Name", "Audience", "When", "Next", "Last"), rows, cut=("Name", "Audience", "When"))
    )
    return ExitCode.OK


async def _pause(session: Session, text: str) -> ExitCode:
    from core.automation import schedules
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        schedule = await _load(engine, text)
        done = await schedules.pause(engine, schedule, by=COMMAND_LINE, team_id=None)
    session.terminal.line(f'Schedule "{schedule.name}" {"is paused" if done else "was paused already"}.')
    return ExitCode.OK


async def _resume(session: Session, text: str) -> ExitCode:
    from core.automation import schedules
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        schedule = await _load(engine, text)
        done = await schedules.resume(engine, schedule, by=COMMAND_LINE, team_id=None)
    session.terminal.line(f'Schedule "{schedule.name}" {"is resumed" if done else "was not paused"}.')
    return ExitCode.OK


async def _remove(session: Session, text: str) -> ExitCode:
    from core.automation import schedules
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        schedule = await _load(engine, text)
        await schedules.remove(engine, schedule, by=COMMAND_LINE, team_id=None)
    session.terminal.line(f'Schedule "{schedule.name}" was removed.')
    return ExitCode.OK


async def _run_now(session: Session, text: str) -> ExitCode:
    from core.automation import schedules
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        schedule = await _load(engine, text)
        await schedules.run_now(engine, schedule, by=COMMAND_LINE, team_id=None)
    session.terminal.line(
        "The source is looked at now. `iterable-sync serve` or `iterable-sync worker` syncs new files."
    )
    return ExitCode.OK


async def _load(engine: "Engine", text: str) -> "Schedule":
    from core.automation import schedules
    from core.store import connections

    async with engine.database.read() as db:
        ids = [connection.id for connection in await connections.everyone(db)]
    return await schedules.require(engine, text, ids)


def _quiet_hours(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    start, _, end = text.partition("-")
    return start.strip(), end.strip()


def _trigger(kind: str, value: str) -> "tuple[Trigger, str | None]":
    """Return what fires a schedule, and its cron expression. Raises ValidationError for a wrong time or day."""
    from core.automation import times
    from core.store.schedules import Trigger

    if kind == "new":
        return Trigger.NEW_FILE, None
    if kind == "after":
        return Trigger.AFTER, None
    if kind == "cron":
        return Trigger.CRON, value
    if kind == "weekly":
        day, _, at = value.strip().partition(" ")
        return Trigger.CRON, times.weekly(day, at)
    preset = {"daily": times.daily, "weekdays": times.weekdays}.get(kind)
    return Trigger.CRON, preset(value) if preset is not None else times.hourly()


def _described(schedule: "Schedule") -> dict[str, Any]:
    from bot.cli.render import utc

    return {
        "id": schedule.id,
        "name": schedule.name,
        "mapping": schedule.mapping_id,
        "trigger": schedule.trigger.value,
        "cron": schedule.cron,
        "time_zone": schedule.time_zone,
        "after": schedule.after_mapping_id,
        "missed": schedule.missed.value,
        "quiet_from": schedule.quiet_from,
        "quiet_to": schedule.quiet_to,
        "paused": schedule.is_paused,
        "next_due_at": utc(schedule.next_due_at) if schedule.next_due_at is not None else None,
        "last_fired_at": utc(schedule.last_fired_at) if schedule.last_fired_at is not None else None,
        "created_by": schedule.created_by,
    }
