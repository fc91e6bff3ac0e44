"""`iterable-sync sync-all`: many syncs at once."""

from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command

if TYPE_CHECKING:
    from core.engine import Engine


def sync_all(
    folder: Annotated[
        str | None,
        typer.Argument(metavar="FOLDER", help="A folder or address with audiences; each goes to its mapping."),
    ] = None,
    connection: Annotated[str | None, typer.Option(help="A saved connection.", show_default="all")] = None,
) -> ExitCode:
    """Look for new files of all mappings that have a source, or sync the audiences of a folder, each to its mapping.

    `iterable-sync serve` or `iterable-sync worker` does the work. Exit codes: 0, or 1 if an audience of the folder has
    no mapping or could not be queued.
    """
    return run_command(lambda session: _sync_all(session, folder, connection))


async def _sync_all(session: Session, folder: str | None, connection: str | None) -> ExitCode:
    from bot.cli.audience_files import absolute
    from bot.cli.render import list_text, table
    from core.automation import many
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        ids = await _connection_ids(engine, connection)
        if folder is None:
            looked = await many.sync_all(engine, ids, by=COMMAND_LINE, team_id=None)
            rows = [(str(each.id), each.label, list_text(each.list_id), "looks for new files") for each in looked]
            is_whole = True
        else:
            entries = await many.sync_folder(engine, absolute(folder), ids, by=COMMAND_LINE, team_id=None, allowed=None)
            rows = [
                (
                    str(each.mapping.id) if each.mapping is not None else "",
                    each.name,
                    list_text(each.mapping.list_id) if each.mapping is not None else "",
                    f"run {each.run_id}" if each.run_id is not None else f"not synced: {each.reason}",
                )
                for each in entries
            ]
            is_whole = all(each.run_id is not None for each in entries)
    if not rows:
        nothing = (
            "There is nothing to sync: no mapping has a source." if folder is None else "The folder has no audience."
        )
        session.terminal.line(nothing)
        return ExitCode.OK
    heading = ("Mapping", "Audience" if folder is None else "File", "List", "Result")
    session.terminal.show(table(heading, rows, cut=("Audience", "File", "Result")))
    return ExitCode.OK if is_whole else ExitCode.FAILED


async def _connection_ids(engine: "Engine", name: str | None) -> list[int]:
    from core.connections.named import connection_named
    from core.errors import NotFoundError
    from core.store import connections

    async with engine.database.read() as db:
        everyone = await connections.everyone(db)
    if name is None:
        return [connection.id for connection in everyone]
    chosen = connection_named(everyone, name)
    if chosen is None:
        raise NotFoundError(f'There is no connection "{name}". `iterable-sync connections list` shows them.')
    return [chosen.id]
