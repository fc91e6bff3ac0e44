"""`iterable-sync sync`: one run in the foreground."""

import dataclasses
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import options
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from core.errors import InputError
from core.identity import UserIdField

if TYPE_CHECKING:
    from core.engine import Engine
    from core.reporting.run_report import RunReport
    from core.store.connections import Connection


@dataclasses.dataclass(frozen=True, slots=True)
class SyncOptions:
    """The arguments of a sync."""

    files: list[str]
    list_id: int
    connection: str | None = None
    user_id: UserIdField | None = None
    mode: options.ModeChoice = options.ModeChoice.AUTO
    audience: str | None = None
    dry_run: bool = False
    yes: bool = False
    allow_empty: bool = False
    rate: float | None = None
    data_center: options.DataCenterChoice | None = None
    columns: list[str] = dataclasses.field(default_factory=list)
    sheet: str | None = None
    fields: list[str] | None = None
    no_fields: bool = False
    full: bool = False


def sync(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="An audience: a download (ZIP or CSV), a file that mParticle wrote to a bucket (JSON), or a table "
            "(CSV, Excel, Parquet, JSON), compressed or not. Several files, a folder or a pattern are parts of one "
            "audience; an address (https://, s3://, gs://, az://, sftp://) is fetched; - is standard input.",
        ),
    ],
    list_id: options.ListId,
    connection: options.ConnectionName = None,
    user_id: options.UserId = None,
    mode: options.Mode = options.ModeChoice.AUTO,
    audience: Annotated[
        str | None, typer.Option(help="The audience's id or name, if the file or the list has several.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes, and send nothing.")] = False,
    yes: options.YesInAdvance = False,
    as_json: options.Json = False,
    allow_empty: options.AllowEmpty = False,
    rate: options.Rate = None,
    data_center: options.DataCenter = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=NAME", help="The column of a table that holds the email, customer_id or mpid."),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="The sheet of a workbook.", show_default="the first")] = None,
    field: options.Fields = None,
    no_fields: options.NoFields = False,
    full: Annotated[bool, typer.Option("--full", help="Send members again who are unchanged.")] = False,
) -> ExitCode:
    """Make an Iterable list equal to an mParticle audience.

    Exit codes:
    0 the run succeeded (rejected members are reported, and no failure),
    1 it failed,
    2 wrong usage or bad input, and nothing was sent,
    3 a guard stopped it, and it was not approved,
    130 interrupted; it can be resumed.
    """
    order = SyncOptions(
        files,
        list_id,
        connection,
        user_id,
        mode,
        audience,
        dry_run,
        yes,
        allow_empty,
        rate,
        data_center,
        column or [],
        sheet,
        field,
        no_fields,
        full,
    )
    report = _blank(order) if as_json else None
    return run_command(lambda session: run_sync(session, order, report), report=report)


async def run_sync(session: Session, order: SyncOptions, report: "RunReport | None" = None) -> ExitCode:
    """Run a sync. `report` gets the run's id as soon as there is one."""
    from bot.cli.audience_files import addresses, remove_saved
    from bot.cli.run_session import run_to_completion
    from core.models.run import RunRequest, SyncMode
    from core.runs import worker
    from core.runs.submission import submit
    from core.sources.column_choices import parse_choices

    fields = options.chosen_fields(order.fields, no_fields=order.no_fields)
    paths = addresses(order.files, session.settings.data_dir)
    request = RunRequest(
        path=paths[0],  # absolute: the run may be resumed from another directory
        more_paths=tuple(paths[1:]),
        columns=parse_choices(order.columns),
        sheet=order.sheet,
        audience=order.audience,
        mode=None if order.mode is options.ModeChoice.AUTO else SyncMode(order.mode),
        dry_run=order.dry_run,
        allow_empty=order.allow_empty,
        approved=order.yes,
        full=order.full,
    )
    async with session.engine() as engine:
        connection = await connection_for(engine, order.connection, order.user_id, order.data_center, order.rate)
        submission = await submit(engine, connection, order.list_id, request, rate=order.rate, fields=fields)
        if report is not None:
            report.run_id = submission.run_id
        target = submission.target
        session.terminal.say(f'Run {submission.run_id}: {_shown(order.files)} to list {target.id} "{target.name}"')
        code = await run_to_completion(session, engine, submission.run_id, worker.start(engine, submission.run_id))
        if code in (ExitCode.OK, ExitCode.BAD_INPUT):  # otherwise the run can be resumed
            remove_saved(paths, session.settings.data_dir)
        return code


async def connection_for(
    engine: "Engine",
    name: str | None,
    user_id: UserIdField | None = None,
    data_center: options.DataCenterChoice | None = None,
    rate: float | None = None,
) -> "Connection":
    """Return the saved connection with this name, or the one for ITERABLE_API_KEY."""
    from core.connections.environment import environment_connection
    from core.connections.named import connection_named
    from core.iterable import DataCenter
    from core.store import connections

    if name is None:
        center = DataCenter(data_center or options.DataCenterChoice.US)
        return await environment_connection(engine, user_id=user_id, data_center=center, rate=rate)
    if data_center is not None:
        raise InputError("--data-center goes with ITERABLE_API_KEY; a saved connection has its own. Leave one out.")
    async with engine.database.read() as db:
        everyone = await connections.everyone(db)
    connection = connection_named(everyone, name)
    names = [each.name for each in everyone if each.api_key]
    if connection is None:
        listed = f"There are: {', '.join(names)}." if names else "None is saved yet."
        raise InputError(f'There is no connection "{name}". {listed} Save one with `iterable-sync connections add`.')
    return dataclasses.replace(connection, user_id_field=user_id or connection.user_id_field)


def _shown(files: list[str]) -> str:
    """Return the files as a person gave them, in short."""
    first = "standard input" if files[0] == "-" else PurePath(files[0]).name
    return first if len(files) == 1 else f"{first} and {len(files) - 1} more"


def _blank(order: SyncOptions) -> "RunReport":
    from core.reporting.run_report import RunReport

    return RunReport(
        mode=None if order.mode is options.ModeChoice.AUTO else order.mode.value,
        user_id=order.user_id.value if order.user_id else None,
        list_id=order.list_id,
        audience=order.audience,
    )
