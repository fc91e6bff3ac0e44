"""Turns errors into one sentence and an exit code, without tracebacks, keys or addresses.

The traceback of an unexpected error is written to a file in the data directory: only code locations and error types,
because messages may quote addresses.
"""

import asyncio
import os
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot import error_reports
from bot.cli.exit_codes import ExitCode
from bot.cli.remediation import remediation
from core.errors import InputError, SettingsError, StorageError, SyncError

ERROR_LOG = "error.log"
# A larger log is renamed and started again; one older log is kept.
MOST_LOG_BYTES = 1_000_000
INTERRUPTED = "Interrupted. Nothing was sent."


@dataclass(frozen=True, slots=True)
class CommandFailure:
    """The message and the exit code of a failed command."""

    sentence: str
    code: ExitCode


def failure_of(error: BaseException, data_dir: Path) -> CommandFailure:
    """Return the failure for an error that reached the top."""
    if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
        return CommandFailure(INTERRUPTED, ExitCode.INTERRUPTED)
    if isinstance(error, SyncError):
        return CommandFailure(
            f"{error.message}{remediation(error.code, error.run_id)}",
            ExitCode.BAD_INPUT if _is_bad_input(error) else ExitCode.FAILED,
        )
    if (described := _describe_database_error(error)) is not None:
        return CommandFailure(described, ExitCode.FAILED)
    place = record(error, data_dir)
    where = f" Where it happened is in {place}; please report it." if place else " Please report it."
    return CommandFailure(f"Something unexpected happened ({type(error).__name__}).{where}", ExitCode.FAILED)


def record(error: BaseException, data_dir: Path) -> Path | None:
    """Append an error to the error log, and report it. Returns the path, or None if the log can't be written."""
    error_reports.report(error)
    path = data_dir / ERROR_LOG
    try:
        if path.exists() and path.stat().st_size > MOST_LOG_BYTES:
            path.replace(path.with_name(f"{ERROR_LOG}.1"))
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')}\n{''.join(_trace(error))}\n")
    except OSError:
        return None
    return path


def _is_bad_input(error: SyncError) -> bool:
    if isinstance(error, InputError | SettingsError):
        return not isinstance(error, StorageError)
    from core.iterable.errors import InvalidApiKeyError, ListError
    from core.mparticle.errors import AccountAccessError, MParticleCredentialsError

    return isinstance(error, InvalidApiKeyError | ListError | MParticleCredentialsError | AccountAccessError)


def _describe_database_error(error: BaseException) -> str | None:
    from sqlalchemy.exc import SQLAlchemyError

    from core.store.database_errors import DATABASE_FAULTS, describe

    return describe(error) if isinstance(error, SQLAlchemyError) and isinstance(error, DATABASE_FAULTS) else None


def _trace(error: BaseException) -> Iterator[str]:
    """Yield the stack frames of an error and of its causes, without messages."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield f"{type(current).__module__}.{type(current).__qualname__}\n"
        yield from traceback.format_tb(current.__traceback__)
        if isinstance(current, BaseExceptionGroup):
            for part in current.exceptions:
                yield from _trace(part)
        current = current.__cause__ or current.__context__
