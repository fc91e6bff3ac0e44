"""`iterable-sync connections`: Iterable projects, each with its API key, data center, User ID setting and rate."""

import getpass
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bot.cli import options
from bot.cli import people as cli_people
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from core.errors import ConflictError, InputError, SettingsError
from core.identity import ProjectType, UserIdField

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.engine import Engine
    from core.iterable import IterableList
    from core.store.connections import Connection, ConnectionChanges
    from core.store.mparticle_accounts import MParticleAccount

app = typer.Typer(help="Iterable projects: API key, data center, User ID setting and rate.")

_NO_ONE = {"operators": "everyone", "approvers": "no one"}

Name = Annotated[str, typer.Argument(metavar="NAME", help="The connection's name.")]
KeyStdin = Annotated[bool, typer.Option("--key-stdin", help="Read the API key from standard input.")]


class Switch(StrEnum):
    """Whether something is done."""

    ON = "on"
    OFF = "off"


@app.command()
def add(
    name: Name,
    data_center: options.DataCenter = None,
    user_id: options.NewUserId = None,
    rate: options.NewRate = None,
    key_stdin: KeyStdin = False,
) -> ExitCode:
    """Save a connection, after trying its API key.

    The key comes from ITERABLE_API_KEY or a prompt, never from an argument, and is stored encrypted.
    """
    return run_command(lambda session: _add(session, name, data_center, user_id, rate, key_stdin=key_stdin))


@app.command()
def key(name: Name, key_stdin: KeyStdin = False) -> ExitCode:
    """Replace the API key of a connection, after trying the new one."""
    return run_command(lambda session: _key(session, name, key_stdin=key_stdin))


@app.command("list")
def list_() -> ExitCode:
    """List the connections."""
    return run_command(_list)


@app.command()
def show(name: Name) -> ExitCode:
    """Show a connection, with only the last four characters of its key."""
    return run_command(lambda session: _show(session, name))


@app.command("project-type")
def project_type(
    name: Name,
    kind: Annotated[ProjectType, typer.Argument(metavar="TYPE", help="email, userId or hybrid.")],
) -> ExitCode:
    """Correct the type of a connection's Iterable project, which was found out when the connection was saved."""
    return run_command(lambda session: _set_project_type(session, name, kind))


@app.command("merge-profiles")
def merge_profiles(
    name: Name,
    switch: Annotated[Switch, typer.Argument(metavar="on|off", help="on or off.")],
) -> ExitCode:
    """Choose whether placeholder profiles are merged. Off at first.

    If a member without an email gets one, and Iterable has another profile with that address, the placeholder's profile
    is merged into it. This can't be undone. If off, the list gets the other profile, and the placeholder's remains.
    """
    return run_command(lambda session: _set_merging(session, name, is_on=switch is Switch.ON))


@app.command()
def people(name: Name, operator: cli_people.Operators = None, approver: cli_people.Approvers = None) -> ExitCode:
    """Choose who may start the syncs of a connection, and who approves them. An omitted option changes nothing."""
    return run_command(lambda session: _choose_people(session, name, {"operators": operator, "approvers": approver}))


@app.command()
def remove(name: Name, yes: options.Sure = False) -> ExitCode:
    """Remove a connection with its mappings, runs and ledgers. The lists in Iterable stay as they are."""
    return run_command(lambda session: _remove(session, name, yes=yes))


async def _add(
    session: Session,
    name: str,
    data_center: options.DataCenterChoice | None,
    user_id: UserIdField | None,
    rate: float | None,
    *,
    key_stdin: bool,
) -> ExitCode:
    from bot.cli.remediation import CHOOSE_TYPE
    from core.connections.manage import check_name, connect
    from core.connections.project_type import unknown_type
    from core.iterable import DataCenter
    from core.store import connections
    from core.store.audit_log import COMMAND_LINE
    from core.store.connections import DEFAULT_RATE

    name = check_name(name)
    async with session.engine() as engine:
        async with engine.database.read() as db:
            if await connections.by_name(db, name, None) is not None:  # checked before the person types a key
                raise InputError(
                    f'There is a connection "{name}" already. Replace its key with `iterable-sync connections key`, '
                    "or choose another name."
                )
        connected = await connect(
            engine,
            name=name,
            api_key=_read_key(session, key_stdin=key_stdin),
            data_center=DataCenter(data_center or options.DataCenterChoice.US),
            user_id_field=user_id or UserIdField.CUSTOMER_ID,
            requests_per_second=DEFAULT_RATE if rate is None else rate,
            by=COMMAND_LINE,
        )
    session.terminal.line(
        f'Connection "{name}" was saved. Iterable accepts its key (...{connected.connection.key_last4}); the project '
        f"has {_static(connected.lists)} that can be synced to."
    )
    if connected.connection.project_type is None:
        session.terminal.line(f"{unknown_type(connected.connection)}{CHOOSE_TYPE}")
    return ExitCode.OK


async def _key(session: Session, name: str, *, key_stdin: bool) -> ExitCode:
    from core.connections.manage import replace_key
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        connection = await load(engine, name)
        if connection.api_key is None:  # checked before the person types a key
            raise ConflictError(
                f"The key of {connection.label} is not saved: it is the one in the environment. Set it there."
            )
        api_key = _read_key(session, key_stdin=key_stdin)
        connected = await replace_key(engine, connection, api_key, by=COMMAND_LINE)
    last4 = connected.connection.key_last4
    session.terminal.line(f'Connection "{name}" has a new key (...{last4}), which Iterable accepts.')
    return ExitCode.OK


async def _set_project_type(session: Session, name: str, kind: ProjectType) -> ExitCode:
    from core.connections.manage import change
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        connection = await load(engine, name)
        await change(engine, connection, by=COMMAND_LINE, team_id=None, project_type=kind)
    session.terminal.line(f'The project of connection "{name}" counts as {kind.label} from now on.')
    return ExitCode.OK


async def _set_merging(session: Session, name: str, *, is_on: bool) -> ExitCode:
    from core.connections.manage import change
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        connection = await load(engine, name)
        await change(engine, connection, by=COMMAND_LINE, team_id=None, merges_profiles=is_on)
    what = "are merged from the next sync on" if is_on else "are not merged from now on"
    session.terminal.line(f'Placeholder profiles of connection "{name}" {what}.')
    return ExitCode.OK


async def _choose_people(session: Session, name: str, named: "Mapping[str, list[str] | None]") -> ExitCode:
    from core.connections.manage import change
    from core.store.audit_log import COMMAND_LINE

    if all(names is None for names in named.values()):
        raise InputError("Name someone with --operator or --approver.")
    async with session.engine() as engine:
        connection = await load(engine, name)
        ids = await cli_people.find(engine, connection.team_id, named)
        await change(engine, connection, by=COMMAND_LINE, team_id=None, **cast("ConnectionChanges", ids))
    names = "; ".join(f"{what}: {', '.join(chosen) or _NO_ONE[what]}" for what, chosen in ids.items())
    session.terminal.line(f'Connection "{name}" has these {names}.')
    return ExitCode.OK


async def _list(session: Session) -> ExitCode:
    from bot.cli.render import table
    from core.connections.named import name_of
    from core.store import connections

    async with session.engine() as engine, engine.database.read() as db:
        saved = await connections.everyone(db)
    if not saved:
        session.terminal.line("No connection is saved yet. Save one with: iterable-sync connections add NAME")
        return ExitCode.OK
    rows = [
        (name_of(c, saved), c.data_center, _type(c), c.user_id_field.value, _rate(c), f"...{c.key_last4}", _state(c))
        for c in saved
    ]
    columns = ("Name", "Data center", "Type", "User ID", "Rate", "Key", "State")
    session.terminal.show(table(columns, rows, cut=("Name",)))
    return ExitCode.OK


async def _show(session: Session, name: str) -> ExitCode:
    from bot.cli.render import facts, when
    from core.store import mappings, mparticle_accounts

    async with session.engine() as engine:
        connection = await load(engine, name)
        async with engine.database.read() as db:
            of_connection = await mappings.of_connection(db, connection.id)
            account = await mparticle_accounts.of_connection(db, connection.id)
    mapping_lines = "\n".join(
        f"{m.audience_name or m.audience_id or 'any audience'} to list {m.list_id}" for m in of_connection
    )
    session.terminal.show(
        facts(
            [
                ("Connection", connection.label),
                ("Data center", connection.data_center),
                ("Project type", _type(connection)),
                ("User ID", connection.user_id_field.value),
                ("Merges profiles", "yes" if connection.merges_profiles else "no"),
                ("Rate", _rate(connection)),
                ("Key", f"...{connection.key_last4}"),
                ("Operators", ", ".join(connection.operators) or "everyone"),
                ("Approvers", ", ".join(connection.approvers) or "no one"),
                ("State", _state(connection) + _remedy(connection)),
                ("mParticle", _mparticle(account)),
                ("Mappings", mapping_lines or "none yet"),
                ("Since", when(connection.created_at)),
            ]
        )
    )
    return ExitCode.OK


async def _remove(session: Session, name: str, *, yes: bool) -> ExitCode:
    from bot.cli.confirm_removal import confirm_removal
    from core.connections import manage
    from core.store import mappings
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        connection = await load(engine, name)
        async with engine.database.read() as db:
            affected = await mappings.of_connection(db, connection.id)
        if not await confirm_removal(session, engine, f'connection "{name}"', affected, yes=yes):
            return ExitCode.NEEDS_APPROVAL
        await manage.remove(engine, connection, by=COMMAND_LINE, team_id=None)
    session.terminal.line(f'Connection "{name}" was removed. The lists in Iterable stay as they are.')
    return ExitCode.OK


async def load(engine: "Engine", name: str) -> "Connection":
    """Return the connection of a name. Raises InputError if there is none."""
    from core.connections.named import connection_named
    from core.store import connections

    async with engine.database.read() as db:
        everyone = await connections.everyone(db)
    # The connection of ITERABLE_API_KEY has a label, but no name.
    connection = connection_named(everyone, name) or next((each for each in everyone if each.label == name), None)
    if connection is None:
        raise InputError(
            f'There is no connection "{name}". `iterable-sync connections list` shows those that there are.'
        )
    return connection


def _read_key(session: Session, *, key_stdin: bool) -> str:
    if key_stdin:
        key = sys.stdin.readline()
    elif session.settings.iterable_api_key is not None:
        session.terminal.say(f"Using the key in {session.settings.variable_of('ITERABLE_API_KEY')}.")
        key = session.settings.iterable_api_key.get_secret_value()
    elif session.terminal.is_attended:
        with session.interruption.unwatched():
            key = typed_secret(session, "API key (it is not shown): ")
    else:
        raise SettingsError(
            "There is no API key. Set ITERABLE_API_KEY, or give the key on standard input: --key-stdin."
        )
    if not key.strip():
        raise InputError("The API key is empty. Copy it again from Iterable.")
    return key.strip()


def typed_secret(session: Session, prompt: str) -> str:
    """Ask for a secret, which is not shown. Empty if the input has ended."""
    try:
        return getpass.getpass(prompt)
    except (EOFError, KeyboardInterrupt) as ended:  # the cursor is still behind the prompt
        session.terminal.say("")
        if isinstance(ended, EOFError):
            return ""
        raise


def _static(lists: "list[IterableList]") -> str:
    number = sum(each.is_standard for each in lists)
    return f"{number:,} static list" if number == 1 else f"{number:,} static lists"


def _type(connection: "Connection") -> str:
    return connection.project_type.label if connection.project_type else "not known"


def _mparticle(account: "MParticleAccount | None") -> str:
    if account is None:
        return "no access to its audiences"
    refused = ": client ID or secret refused" if account.refused_at is not None else ""
    return f"account {account.account_id} ({account.pod.label}), client ID ...{account.client_id[-4:]}{refused}"


def _rate(connection: "Connection") -> str:
    return f"{connection.requests_per_second:g} a second" if connection.requests_per_second else "no limit"


def _state(connection: "Connection") -> str:
    if connection.key_rejected_at is not None:
        return "key refused"
    return "not saved" if connection.api_key is None else "saved"


def _remedy(connection: "Connection") -> str:
    """Return what to do about a rejected key."""
    if connection.key_rejected_at is None:
        return ""
    if connection.api_key is None:
        return ": set ITERABLE_API_KEY to one that Iterable accepts"
    return f": replace it with `iterable-sync connections key {connection.name}`"
