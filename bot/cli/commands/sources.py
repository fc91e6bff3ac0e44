"""`iterable-sync mappings set-source`: where the files of a mapping come from."""

from typing import Annotated

import typer

from bot.cli import options
from bot.cli.commands.mappings import load_mapping
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command


def set_source(
    mapping_id: options.MappingId,
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="ADDRESS",
            help="A folder, a prefix, a pattern or one file: on this machine, s3://, gs://, az://, sftp://, https://.",
        ),
    ] = None,
    by_hand: Annotated[bool, typer.Option("--by-hand", help="Remove the source: files are synced by hand.")] = False,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=NAME", help="The column of a table that holds the email, customer_id or mpid."),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="The sheet of a workbook.", show_default="the first")] = None,
    archive: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Move a file there after its sync.", show_default="leave it")
    ] = None,
    existing: Annotated[
        options.ExistingChoice, typer.Option(help="Which of the files that are there already are synced.")
    ] = options.ExistingChoice.NEWEST,
) -> ExitCode:
    """Say where the files of a mapping come from. A schedule syncs each new one once, the oldest first."""
    if (address is None) != by_hand:
        raise typer.BadParameter("give an address, or --by-hand.")
    if address is None:
        return run_command(lambda session: _remove_source(session, mapping_id))
    return run_command(
        lambda session: _set_source(session, mapping_id, address, column or [], sheet, archive, existing.value)
    )


async def _set_source(
    session: Session,
    mapping_id: int,
    address: str,
    columns: list[str],
    sheet: str | None,
    archive: str | None,
    old: str,
) -> ExitCode:
    from bot.cli.audience_files import absolute
    from core.automation import sources
    from core.automation.sources import SourceOptions
    from core.sources.column_choices import parse_choices
    from core.sources.fetch import without_secrets
    from core.store.audit_log import COMMAND_LINE
    from core.store.file_sources import Existing

    chosen = SourceOptions(
        absolute(address), parse_choices(columns), sheet, absolute(archive) if archive else None, Existing(old)
    )
    async with session.engine() as engine:
        mapping = await load_mapping(engine, mapping_id)
        await sources.set_source(engine, mapping, chosen, by=COMMAND_LINE, team_id=None, allowed=None)
    session.terminal.line(f"Mapping {mapping_id} is fed from {without_secrets(chosen.address)}.")
    session.terminal.say(f"Say when: iterable-sync schedules add {mapping_id} --new-file", "dim")
    return ExitCode.OK


async def _remove_source(session: Session, mapping_id: int) -> ExitCode:
    from core.automation import sources
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        mapping = await load_mapping(engine, mapping_id)
        await sources.remove_source(engine, mapping, by=COMMAND_LINE, team_id=None)
    session.terminal.line(f"Mapping {mapping_id} has no source: its files are synced by hand.")
    return ExitCode.OK
