"""`iterable-sync run-log`: ended runs as Parquet files in the customer's own storage."""

from pathlib import Path
from typing import Annotated

import typer

from bot.cli import options
from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command
from core.errors import InputError

app = typer.Typer(help="Ended runs as Parquet files in your own storage.")


@app.command("set")
def set_(
    place: Annotated[
        str, typer.Argument(metavar="PLACE", help="A folder, or an address such as s3://bucket/iterable-sync.")
    ],
    identifiers: Annotated[
        options.IdentifiersChoice,
        typer.Option(help="How people are named: raw, hashed (SHA-256 of your salt and the identifier), or none."),
    ] = options.IdentifiersChoice.HASHED,
    salt_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file with your salt. Needed for hashed identifiers.")
    ] = None,
) -> ExitCode:
    """Write runs that end from now on to a place. `serve` and `worker` write them, and `sync` its own run."""
    return run_command(lambda session: _set(session, place, identifiers, salt_file))


@app.command()
def show() -> ExitCode:
    """Show where runs are written, how people are named, and how many runs wait."""
    return run_command(_show)


@app.command()
def off() -> ExitCode:
    """Write no more runs. What was written stays, and runs that wait are not written."""
    return run_command(_off)


async def _set(
    session: Session, place: str, identifiers: options.IdentifiersChoice, salt_file: Path | None
) -> ExitCode:
    from core.run_log import configuration
    from core.store.audit_log import COMMAND_LINE
    from core.store.run_log import Identifiers

    salt = None if salt_file is None else _read_salt(salt_file)
    async with session.engine() as engine:
        log = await configuration.turn_on(
            engine, place, Identifiers(identifiers.value), salt, by=COMMAND_LINE, team_id=None
        )
    session.terminal.line(f"Runs that end from now on are written to {log.address}. {_NAMED[log.identifiers.value]}")
    return ExitCode.OK


async def _show(session: Session) -> ExitCode:
    from bot.cli.render import when
    from bot.ui.formatting import plural
    from core.store import clock, run_log

    async with session.engine() as engine, engine.database.read() as db:
        log = await run_log.get(db)
        waiting = await run_log.due_count(db, await clock.now(db))
    if log is None:
        session.terminal.line("The run log is off. Turn it on: iterable-sync run-log set PLACE --salt-file FILE")
        return ExitCode.OK
    written = f"Written last on {when(log.written_at)}" if log.written_at is not None else "Not written yet"
    session.terminal.line(f"Runs are written to {log.address}. {_NAMED[log.identifiers.value]}")
    session.terminal.line(f"{written}. {plural(waiting, 'run')} to write.")
    if log.failing_since is not None:
        session.terminal.say(
            f"It has failed since {when(log.failing_since)}: {log.error} The next try is on {when(log.next_at)}.",
            "yellow",
        )
    return ExitCode.OK


async def _off(session: Session) -> ExitCode:
    from core.run_log import configuration
    from core.store.audit_log import COMMAND_LINE

    async with session.engine() as engine:
        was_on = await configuration.turn_off(engine, by=COMMAND_LINE, team_id=None)
    session.terminal.line("The run log is off. What was written stays." if was_on else "The run log was off already.")
    return ExitCode.OK


_NAMED = {
    "raw": "They contain email addresses and ids.",
    "hashed": "Email addresses and ids are hashed with your salt.",
    "none": "They contain no email address and no id.",
}


def _read_salt(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("can't be read. Name a text file with the salt.", path=path.name) from error
