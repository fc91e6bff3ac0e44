"""`iterable-sync status`: what needs someone, what is under way, and how each mapping stands."""

from typing import TYPE_CHECKING, Any

from bot.cli import options
from bot.cli.exit_codes import ExitCode
from bot.cli.json_output import StatusReport
from bot.cli.session import Session, print_json, run_command

if TYPE_CHECKING:
    from core.reporting.status import Status, StatusOfMapping


def status(as_json: options.Json = False) -> ExitCode:
    """Show open alerts, runs that wait for approval or are under way, and how each mapping stands."""
    return run_command(_status, report=StatusReport() if as_json else None)


async def _status(session: Session) -> ExitCode:
    from core.reporting.status import read_status
    from core.store.tenancy import Tenant

    async with session.engine() as engine:
        await engine.presence.reap_dead_workers()
        current = await read_status(engine, Tenant(None, with_shared=True))
        now = await engine.time()
    if session.terminal.as_json:
        print_json(_report(current, now))
    else:
        _show(session, current)
    return ExitCode.OK


def _report(current: "Status", now: float) -> StatusReport:
    from bot.cli.commands.runs import described
    from bot.cli.render import utc

    return StatusReport(
        alerts=[
            {
                "id": each.id,
                "mapping_id": each.mapping_id,
                "run_id": each.run_id,
                "code": each.code,
                "message": each.message,
                "opened_at": utc(each.opened_at),
            }
            for each in current.alerts
        ],
        waiting=[described(run, now) for run in current.waiting],
        under_way=[described(run, now) for run in current.under_way],
        mappings=[_mapping(each, now) for each in current.mappings],
    )


def _mapping(row: "StatusOfMapping", now: float) -> dict[str, Any]:
    from bot.cli.commands.runs import described

    return {
        "mapping_id": row.mapping.id,
        "name": row.mapping.label,
        "list_id": row.mapping.list_id,
        "status": row.mapping.status.value,
        "is_frozen": row.freeze is not None,
        "last_run": None if row.last is None else described(row.last, now),
    }


def _show(session: Session, current: "Status") -> None:
    from bot.cli.render import list_text, table, when
    from bot.ui.status_words import MAPPING_STATUSES, run_status

    terminal = session.terminal
    for alert in current.alerts:
        terminal.line(f"Alert since {when(alert.opened_at)}: {alert.message}")
    for run in current.waiting:
        terminal.line(f"Run {run.id} of {run.audience or 'an audience'} waits: iterable-sync runs approve {run.id}")
    for run in current.under_way:
        terminal.line(f"Run {run.id} of {run.audience or 'an audience'}: {run_status(run).lower()}")
    if not (current.alerts or current.waiting or current.under_way):
        terminal.line("Nothing needs attention, and no sync is in progress.")
    rows = [
        (
            str(each.mapping.id),
            each.mapping.label,
            list_text(each.mapping.list_id),
            MAPPING_STATUSES[each.mapping.status] + (", frozen" if each.freeze else ""),
            "never" if each.last is None else f"{run_status(each.last)}, {when(each.last.created_at)}",
        )
        for each in current.mappings
    ]
    if rows:
        terminal.show(table(("ID", "Audience", "List", "Status", "Last run"), rows, cut=("Audience",)))
    else:
        terminal.line("There are no mappings yet.")
