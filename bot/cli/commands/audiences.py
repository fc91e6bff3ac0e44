"""`iterable-sync audiences`: mParticle's audiences by name, through its platform API."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.commands.connections import Name, load, typed_secret
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from core.errors import InputError, SettingsError
from core.mparticle.models import Pod

if TYPE_CHECKING:
    from core.mparticle.models import ListedAudience

app = typer.Typer(help="mParticle's audiences, by name and size.")


@app.command()
def connect(
    name: Name,
    account: Annotated[str, typer.Option("--account", metavar="ID", help="The id of the account in mParticle.")],
    client_id: Annotated[str, typer.Option("--client-id", metavar="ID", help="The client ID of the credentials.")],
    pod: Annotated[Pod, typer.Option("--pod", help="Where the account lives: us1, us2, eu1 or au1.")] = Pod.US1,
    secret_stdin: Annotated[
        bool, typer.Option("--secret-stdin", help="Read the client secret from standard input.")
    ] = False,
) -> ExitCode:
    """Let a connection read mParticle's audiences, after trying the client ID and its secret.

    The secret comes from a prompt or from standard input, never from an argument, and is stored encrypted. The same
    command replaces it.
    """
    return run_command(lambda session: _connect(session, name, account, client_id, pod, secret_stdin=secret_stdin))


@app.command()
def disconnect(name: Name) -> ExitCode:
    """Delete a connection's client ID and secret. Its mappings stay as they are."""
    return run_command(lambda session: _disconnect(session, name))


@app.command("list")
def list_(
    name: Name,
    search: Annotated[str | None, typer.Option("--search", metavar="TEXT", help="Only those with this text.")] = None,
) -> ExitCode:
    """List the active audiences of a connection's mParticle account, with size and changes of the last 24 hours."""
    return run_command(lambda session: _list(session, name, search))


async def _connect(
    session: Session, name: str, account: str, client_id: str, pod: Pod, *, secret_stdin: bool
) -> ExitCode:
    from core.connections.mparticle import connect_mparticle
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        connection = await load(engine, name)
        connected = await connect_mparticle(
            engine,
            connection,
            client_id=client_id,
            client_secret=_read_secret(session, secret_stdin=secret_stdin),
            account_id=account,
            pod=pod,
            by=COMMAND_LINE,
            team_id=None,
        )
    number = len(connected.audiences)
    session.terminal.line(
        f'Connection "{name}" reads the audiences of mParticle account {connected.account.account_id} '
        f"({pod.label}): {number:,} active {'audience' if number == 1 else 'audiences'}."
    )
    return ExitCode.OK


async def _disconnect(session: Session, name: str) -> ExitCode:
    from core.connections.mparticle import disconnect_mparticle
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        await disconnect_mparticle(engine, await load(engine, name), by=COMMAND_LINE, team_id=None)
    session.terminal.line(f'Connection "{name}" no longer reads mParticle\'s audiences. Its mappings stay as they are.')
    return ExitCode.OK


async def _list(session: Session, name: str, search: str | None) -> ExitCode:
    from bot.cli.render import table
    from core.connections.mparticle import fetch_audiences

    async with session.engine() as engine:
        connection = await load(engine, name)
        known = await fetch_audiences(engine, connection.id)
    if known is None:
        raise InputError(
            f'Connection "{name}" has no access to mParticle. Give it one with: iterable-sync audiences connect {name}'
        )
    shown = [each for each in known.audiences if search is None or each.contains(search)]
    if not shown:
        session.terminal.line("mParticle has no active audience." if search is None else "No audience has that text.")
        return ExitCode.OK
    columns = ("ID", "Audience", "People", "Added in 24 h", "Dropped in 24 h")
    session.terminal.show(table(columns, [_row(each) for each in shown], numbers=columns[2:], cut=("Audience",)))
    return ExitCode.OK


def _row(audience: "ListedAudience") -> tuple[str, ...]:
    is_renamed = audience.internal_name.casefold() != audience.name.casefold()
    name = f"{audience.name} ({audience.internal_name})" if is_renamed else audience.name
    return (audience.id, name, *(_number(each) for each in (audience.size, audience.added, audience.dropped)))


def _number(number: int | None) -> str:
    return "not computed" if number is None else f"{number:,}"


def _read_secret(session: Session, *, secret_stdin: bool) -> str:
    if secret_stdin:
        return sys.stdin.readline().strip()
    if not session.terminal.is_attended:
        raise SettingsError("There is no client secret. Give it on standard input: --secret-stdin.")
    with session.interruption.unwatched():
        return typed_secret(session, "Client secret (it is not shown): ")
