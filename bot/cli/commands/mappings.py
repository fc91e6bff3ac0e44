"""`iterable-sync mappings`: which audience goes to which list."""

from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import options
from bot.cli.commands.sync import connection_for
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from core.errors import InputError

if TYPE_CHECKING:
    from core.engine import Engine
    from core.store.mappings import AudienceMapping

app = typer.Typer(help="Which audience goes to which list.")


@app.command()
def add(
    list_id: options.ListId,
    audience: Annotated[str | None, typer.Option(help="The audience's id or name.")] = None,
    connection: options.ConnectionName = None,
    mode: options.Mode = options.ModeChoice.AUTO,
    data_center: options.DataCenter = None,
) -> ExitCode:
    """Save a mapping. A sync to a list that has none makes one by itself."""
    return run_command(lambda session: _add(session, list_id, audience, connection, mode, data_center))


@app.command("list")
def list_() -> ExitCode:
    """List the mappings."""
    return run_command(_list)


@app.command()
def show(mapping_id: options.MappingId) -> ExitCode:
    """Show a mapping."""
    return run_command(lambda session: _show(session, mapping_id))


@app.command()
def remove(mapping_id: options.MappingId, yes: options.Sure = False) -> ExitCode:
    """Forget a mapping with its runs and its ledger. The list in Iterable stays as it is."""
    return run_command(lambda session: _remove(session, mapping_id, yes=yes))


async def _add(
    session: Session,
    list_id: int,
    audience: str | None,
    connection_name: str | None,
    mode: options.ModeChoice,
    data_center: options.DataCenterChoice | None,
) -> ExitCode:
    from core.connections.lists import check_list
    from core.store import mappings

    async with session.engine() as engine:
        connection = await connection_for(engine, connection_name, data_center=data_center)
        target = await check_list(engine, connection, list_id)
        is_id = audience is not None and audience.isdecimal()
        async with engine.database.write() as db:
            for known in await mappings.of_connection(db, connection.id, list_id):
                if audience in (known.audience_id, known.audience_name):
                    raise InputError(
                        f"That is mapping {known.id} already: see `iterable-sync mappings show {known.id}`."
                    )
            mapping_id = await mappings.add(
                db,
                connection_id=connection.id,
                list_id=list_id,
                audience_id=audience if is_id else None,
                audience_name=None if is_id else audience,
                mode=mode.value,
            )
    whose = f'audience "{audience}"' if audience else "any audience"
    session.terminal.line(f'Mapping {mapping_id}: {whose} to list {list_id} "{target.name}".')
    return ExitCode.OK


async def _list(session: Session) -> ExitCode:
    from bot.cli.render import table
    from core.store import connections, mappings

    rows = []
    async with session.engine() as engine, engine.database.read() as db:
        for connection in await connections.everyone(db):
            found = await mappings.of_connection(db, connection.id)
            sizes = await mappings.sizes(db, [mapping.id for mapping in found])
            rows += [
                (str(m.id), _audience(m), str(m.list_id), connection.label, m.mode, f"{sizes.get(m.id, 0):,}")
                for m in found
            ]
    if not rows:
        session.terminal.line("There are no mappings yet. The first sync to a list makes one.")
        return ExitCode.OK
    columns = ("ID", "Audience", "List", "Connection", "Mode", "Synced")
    session.terminal.show(table(columns, rows, numbers=("Synced",), cut=("Audience",)))
    return ExitCode.OK


async def _show(session: Session, mapping_id: int) -> ExitCode:
    from bot.cli.render import facts, when
    from core.store import connections, lists, mappings

    async with session.engine() as engine:
        found = await _load(engine, mapping_id)
        async with engine.database.read() as db:
            connection = await connections.by_id(db, found.connection_id)
            known = await lists.get(db, found.connection_id, found.list_id)
            sizes = await mappings.sizes(db, [mapping_id])
    assert connection is not None
    session.terminal.show(
        facts(
            [
                ("Mapping", str(found.id)),
                ("Audience", _audience(found)),
                ("List", f'{found.list_id} "{known.name}"' if known else str(found.list_id)),
                ("Connection", connection.label),
                ("Mode", found.mode),
                ("Members synced", f"{sizes.get(mapping_id, 0):,}"),
                ("Since", when(found.created_at)),
            ]
        )
    )
    return ExitCode.OK


async def _remove(session: Session, mapping_id: int, *, yes: bool) -> ExitCode:
    from bot.cli.confirm_removal import confirm_removal
    from core.store import mappings

    async with session.engine() as engine:
        found = await _load(engine, mapping_id)
        if not await confirm_removal(session, engine, f"mapping {mapping_id}", [found], yes=yes):
            return ExitCode.NEEDS_APPROVAL
        async with engine.database.write() as db:
            await mappings.remove(db, mapping_id)
    session.terminal.line(f"Mapping {mapping_id} was removed. List {found.list_id} in Iterable stays as it is.")
    return ExitCode.OK


async def _load(engine: "Engine", mapping_id: int) -> "AudienceMapping":
    from core.store import mappings

    async with engine.database.read() as db:
        found = await mappings.by_id(db, mapping_id)
    if found is None:
        raise InputError(f"There is no mapping {mapping_id}. `iterable-sync mappings list` shows those that there are.")
    return found


def _audience(mapping: "AudienceMapping") -> str:
    if mapping.audience_name and mapping.audience_id:
        return f"{mapping.audience_name} ({mapping.audience_id})"
    return mapping.audience_name or mapping.audience_id or "(any)"
