"""`iterable-sync mappings set-list`: another list for a mapping."""

from typing import Annotated

import typer

from bot.cli import options
from bot.cli.commands.mapping_management import MembersChoice
from bot.cli.commands.mappings import load_connection, load_mapping
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command


def set_list(
    mapping_id: options.MappingId,
    list_id: options.ListId,
    members: Annotated[
        MembersChoice | None,
        typer.Option(help="People on the former list. leave: they stay there. remove: take them off first."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Approve it in advance.")] = False,
) -> ExitCode:
    """Send the audience of a mapping to another list. Without --members, say what would happen to the former one.

    A new mapping takes the place of the former one once it, or a sync of it, is approved.
    """
    return run_command(lambda session: _set_list(session, mapping_id, list_id, members, yes=yes))


async def _set_list(
    session: Session, mapping_id: int, list_id: int, members: MembersChoice | None, *, yes: bool
) -> ExitCode:
    from core.connections import mapping_end
    from core.connections.lists import check_list
    from core.runs.mapping_deletion import change_list
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        mapping = await load_mapping(engine, mapping_id)
        target = await check_list(engine, await load_connection(engine, mapping), list_id)
        if members is None:
            people = (await mapping_end.summarize(engine, mapping_id)).members
            command = f"iterable-sync mappings set-list {mapping_id} --list {list_id}"
            session.terminal.say(
                f'Audience {mapping.label} would go to list {list_id} "{target.name}". {people:,} people are on list '
                f"{mapping.list_id} because of mapping {mapping_id}.\n"
                f"  They stay there, and no later sync removes them:  {command} --members leave\n"
                f"  Take them off first, after approval:              {command} --members remove"
            )
            return ExitCode.NEEDS_APPROVAL
        successor, run_id = await change_list(
            engine,
            mapping_id,
            target,
            empties=members is MembersChoice.REMOVE,
            by=COMMAND_LINE,
            channel=None,
            team_id=None,
            approved=yes,
        )
    session.terminal.line(f'Mapping {successor.id}: audience {successor.label} to list {list_id} "{target.name}".')
    if successor.replaces is not None:
        session.terminal.say(
            f"It takes the place of mapping {mapping_id}, with its source and its schedules, once it or a sync of it "
            f"is approved. Until then mapping {mapping_id} is synced as before."
        )
    else:
        session.terminal.say(f"Mapping {mapping_id} is archived; its source and its schedules went along.")
    if run_id is not None:
        session.terminal.say(
            f"Run {run_id} takes everyone off list {mapping.list_id}. To execute it: iterable-sync runs resume {run_id}"
        )
    session.terminal.say(
        f"To count people who are on the new list already as synced: iterable-sync mappings adopt {successor.id} FILE",
        "dim",
    )
    return ExitCode.OK
