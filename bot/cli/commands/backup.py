"""`iterable-sync backup` and `iterable-sync restore`: the data directory in one file."""

from pathlib import Path
from typing import Annotated

import typer

from bot.cli.exit_codes import ExitCode
from bot.cli.session import Session, run_command

BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="The backup, such as backup.tar.gz.")]


def backup(file: BackupFile) -> ExitCode:
    """Write a backup of the data directory to a file, also while the program runs. It contains addresses and keys."""
    return run_command(lambda session: _backup(session, file))


def restore(file: BackupFile) -> ExitCode:
    """Restore a backup into an empty data directory, before the program is started."""
    return run_command(lambda session: _restore(session, file))


async def _backup(session: Session, file: Path) -> ExitCode:
    from core.store.backup import create_backup
    from core.vault import SETTING

    names = create_backup(session.settings, file)
    session.terminal.line(f"{file} contains {', '.join(names)}. Protect it: it contains email addresses.")
    if session.settings.secret_key is not None:
        place = session.settings.variable_of(SETTING)
        session.terminal.line(f"It does not contain the key in {place}. Without it, saved API keys can't be read.")
    return ExitCode.OK


async def _restore(session: Session, file: Path) -> ExitCode:
    from core.store.backup import restore_backup

    names = restore_backup(session.settings, file)
    session.terminal.line(f"Restored {', '.join(names)} into {session.settings.data_dir}. Start the program.")
    return ExitCode.OK
