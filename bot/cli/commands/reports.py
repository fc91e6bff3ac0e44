"""`iterable-sync reports`: weekly and daily reports about the syncs of a connection."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.commands.connections import load
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from core.errors import InputError

if TYPE_CHECKING:
    from core.store.reports import ReportSettings

app = typer.Typer(help="Weekly and daily reports about the syncs of a connection.")

ConnectionName = Annotated[str, typer.Argument(metavar="CONNECTION", help="The name of the connection.")]
Daily = Annotated[bool, typer.Option("--daily", help="The report of today instead of the last seven days.")]
ALERT_CHANNEL = "alerts"


@app.command("list")
def list_() -> ExitCode:
    """List when the connections get reports."""
    return run_command(_list)


@app.command("set")
def set_(
    connection: ConnectionName,
    weekly: Annotated[
        str | None, typer.Option(metavar="DAY|off", help="The day of the weekly report: monday, tuesday ...")
    ] = None,
    daily: Annotated[
        bool | None, typer.Option("--daily/--no-daily", help="A report after each day with syncs.")
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="HH:MM", help="The time of day.", show_default="09:00")] = None,
    time_zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="The time zone, such as Europe/Berlin.", show_default="UTC")
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(metavar="ID|alerts", help="The channel in Slack (C0123...).", show_default="the alert channel"),
    ] = None,
) -> ExitCode:
    """Set when a connection gets reports, and where. What is not given stays as it is."""
    return run_command(lambda session: _set(session, connection, weekly, daily, at, time_zone, channel))


@app.command()
def preview(connection: ConnectionName, *, daily: Daily = False) -> ExitCode:
    """Print the report of the last seven days up to now. Nothing is sent."""
    return run_command(lambda session: _preview(session, connection, is_daily=daily))


@app.command()
def send(connection: ConnectionName, *, daily: Daily = False) -> ExitCode:
    """Send the report of the last seven days now, to Slack and to the routes that want it."""
    return run_command(lambda session: _send(session, connection, is_daily=daily))


async def _list(session: Session) -> ExitCode:
    from bot.cli.render import table, when
    from core.automation.times import DAYS
    from core.store import connections, reports

    async with session.engine() as engine, engine.database.read() as db:
        everyone = await connections.everyone(db)
        rows = []
        for connection in everyone:
            each = await reports.settings(db, connection.id)
            next_times = [at for at in (each.next_weekly_at, each.next_daily_at) if at is not None]
            rows.append(
                (
                    connection.label,
                    DAYS[each.weekday] if each.weekly else "off",
                    "each day" if each.daily else "off",
                    f"{each.at} {each.time_zone}" if next_times else "",
                    each.channel or connection.alert_channel or "none",
                    when(min(next_times)) if next_times else "",
                )
            )
    if not rows:
        session.terminal.line("There is no connection yet.")
        return ExitCode.OK
    session.terminal.show(table(("Connection", "Weekly", "Daily", "At", "Channel", "Next"), rows))
    return ExitCode.OK


async def _set(
    session: Session,
    name: str,
    weekly: str | None,
    daily: bool | None,
    at: str | None,
    time_zone: str | None,
    channel: str | None,
) -> ExitCode:
    from dataclasses import replace

    from core.automation.reports import set_reports
    from core.store import reports
    from core.store.audit_log import COMMAND_LINE

    changes: dict[str, Any] = {
        name: value for name, value in {"daily": daily, "at": at, "time_zone": time_zone}.items() if value is not None
    }
    if weekly is not None:
        changes["weekly"] = weekly.casefold() != "off"
        changes |= {"weekday": _weekday(weekly)} if changes["weekly"] else {}
    if channel is not None:
        changes["channel"] = None if channel == ALERT_CHANNEL else channel
    async with session.engine() as engine:
        connection = await load(engine, name)
        async with engine.database.read() as db:
            before = await reports.settings(db, connection.id)
        stored = await set_reports(
            engine,
            replace(before, **changes),
            by=COMMAND_LINE,
            team_id=None,
        )
    session.terminal.line(f"{connection.label}: {_words(stored)}")
    return ExitCode.OK


async def _preview(session: Session, name: str, *, is_daily: bool) -> ExitCode:
    from core.automation.reports import preview
    from core.models.reports import ReportKind
    from core.notifications.event_words import report_lines, report_title

    async with session.engine() as engine:
        connection = await load(engine, name)
        report = await preview(engine, connection.id, ReportKind.DAILY if is_daily else ReportKind.WEEKLY)
    session.terminal.line(report_title(report, connection.label))
    for line in report_lines(report):
        session.terminal.line(line)
    return ExitCode.OK


async def _send(session: Session, name: str, *, is_daily: bool) -> ExitCode:
    from core.automation.reports import send_now
    from core.models.reports import ReportKind
    from core.store.audit_log import COMMAND_LINE

    kind = ReportKind.DAILY if is_daily else ReportKind.WEEKLY
    async with session.engine() as engine:
        connection = await load(engine, name)
        await send_now(engine, connection.id, kind, by=COMMAND_LINE, team_id=None)
    session.terminal.line("The report is stored. `iterable-sync serve` posts it in Slack and sends it to the routes.")
    return ExitCode.OK


def _weekday(text: str) -> int:
    """Return the number of a day of the week. Raises InputError if it is none."""
    from core.automation.times import DAYS

    if text.casefold() not in DAYS:
        raise InputError(f'"{text[:20]}" is not a day of the week. Use monday, tuesday and so on, or off.')
    return DAYS.index(text.casefold())


def _words(settings: "ReportSettings") -> str:
    from core.automation.times import DAYS

    if not settings.weekly and not settings.daily:
        return "no reports."
    kinds = [f"a weekly report on {DAYS[settings.weekday].capitalize()}"] if settings.weekly else []
    kinds += ["a report after each day with syncs"] if settings.daily else []
    return f"{' and '.join(kinds)}, at {settings.at} ({settings.time_zone})."
