"""`iterable-sync mappings exclude`: who is kept off the list of a mapping."""

from typing import Annotated

import typer

from bot.cli import options
from bot.cli.commands.mapping_management import approval_text
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from core.errors import InputError


def exclude(
    mapping_id: options.MappingId,
    address: Annotated[
        list[str] | None, typer.Option(metavar="EMAIL", help="An address. It is kept as a digest.")
    ] = None,
    domain: Annotated[list[str] | None, typer.Option(help="A domain, with its subdomains.")] = None,
    file: Annotated[
        list[str] | None, typer.Option(help="A file with people, or its address. It is read again for each sync.")
    ] = None,
    mapping: Annotated[
        list[int] | None,
        typer.Option(metavar="ID", help="Another mapping of the connection: the people who were synced for it."),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Exclude these no longer.")] = False,
    no_one: Annotated[bool, typer.Option("--no-one", help="Exclude no one from now on.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Approve the change.")] = False,
) -> ExitCode:
    """Keep people off the list of a mapping. Who is on it leaves it with the next sync.

    The next sync asks for approval; --yes approves it here.
    """
    names = (address or [], domain or [], file or [], mapping or [])
    return run_command(lambda session: _exclude(session, mapping_id, names, remove=remove, no_one=no_one, yes=yes))


async def _exclude(
    session: Session,
    mapping_id: int,
    names: tuple[list[str], list[str], list[str], list[int]],
    *,
    remove: bool,
    no_one: bool,
    yes: bool,
) -> ExitCode:
    from core.connections.exclusions import ExclusionInput, change_exclusions
    from core.models.exclusions import ExclusionKind, exclusions_text
    from core.store.audit_log import COMMAND_LINE

    named = ExclusionInput(*names)
    if any(names) is no_one:
        raise InputError("Say who to exclude, with --address, --domain, --file or --mapping, or choose --no-one.")
    async with session.engine() as engine:
        changed = await change_exclusions(
            engine,
            mapping_id,
            add=ExclusionInput() if remove else named,
            remove=named if remove else ExclusionInput(),
            clear=list(ExclusionKind) if no_one else [],
            by=COMMAND_LINE,
            team_id=None,
            allowed=None,
            approved=yes,
        )
    text = exclusions_text(changed.exclusions) or "no one"
    session.terminal.line(f"Mapping {mapping_id} excludes {text}.{approval_text(changed)}")
    return ExitCode.OK
