"""Logging on the command line: our warnings as one line each on standard error, other libraries silent.

A line is text or JSON (ITERABLE_SYNC_LOG_FORMAT). A command that shows more lowers the level of the logger in question.
"""

import json
import logging
import math
import re
import threading
from datetime import UTC, datetime
from pathlib import Path

from rich.text import Text

from bot.cli import errors
from bot.ui.terminal import Terminal, clean
from core.telemetry.log_context import present_ids

_OURS = ("core", "bot")
#: How long the same warning or error is left out after it was printed, in seconds.
REPEATED_S = 60.0
#: Above this number, messages that have not repeated lately are forgotten.
MOST_MESSAGES = 1_000
# A placeholder of a log message, with the subject that it names.
_PLACEHOLDER = re.compile(r"(?:\b(run|connection|workspace) )?%[sdr]")


class Repetitions:
    """Leaves out warnings and errors that repeat: while a database is away, the same ones come several times a second,
    and would displace all others from the error log."""

    def __init__(self) -> None:
        #: When each was let through last (seconds), and how many have been left out since.
        self.seen: dict[tuple[str, str], tuple[float, int]] = {}

    def admits(self, record: logging.LogRecord) -> bool:
        """Return whether a record is new, or was let through last a minute ago. Then it gets the attribute `repeated`:
        how often it was left out since."""
        record.repeated = 0
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, record.getMessage())
        since, left_out = self.seen.get(key, (-math.inf, 0))
        if record.created - since < REPEATED_S:
            self.seen[key] = (since, left_out + 1)
            return False
        if len(self.seen) >= MOST_MESSAGES:
            self.seen = {each: known for each, known in self.seen.items() if record.created - known[0] < REPEATED_S}
        self.seen[key] = (record.created, 0)
        record.repeated = left_out
        return True


class _LineHandler(logging.Handler):
    """Prints a record in one line, and writes its error to the error log."""

    def __init__(self, terminal: Terminal, data_dir: Path) -> None:
        super().__init__()
        self._terminal = terminal
        self._data_dir = data_dir
        self._repetitions = Repetitions()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record of ours."""
        if not self._repetitions.admits(record):
            return
        ours = record.name.partition(".")[0] in _OURS
        if record.exc_info and record.exc_info[1] is not None and (ours or record.levelno >= logging.ERROR):
            errors.record(record.exc_info[1], self._data_dir)
        if ours:
            self._print(record)

    def _print(self, record: logging.LogRecord) -> None:
        line = clean(record.getMessage()).partition("\n")[0]
        if repeated := getattr(record, "repeated", 0):
            line += f" ({repeated:,} times more in the last minutes)"
        self._terminal.err.print(Text(f"{record.levelname.lower()}: {line}", style="dim"), soft_wrap=True)


class _JsonHandler(_LineHandler):
    """As `_LineHandler`, but prints JSON."""

    def _print(self, record: logging.LogRecord) -> None:
        print(json_line(record), file=self._terminal.err.file, flush=True)


def json_line(record: logging.LogRecord) -> str:
    """Return a record as a JSON object on one line: time (ISO 8601, UTC), level, logger, message, and what it is about.

    `run_id`, `connection_id`, `mapping_id` and `request_id` are those of the run that is executed and of the request
    that is answered. Our messages name their subject before its placeholder, as in "run %s", so `run_id`,
    `connection_id` and `workspace_id` also come from the arguments. `repeated` is how often the message was left out
    since it was printed last. `error` is the type of the exception: its text may quote an address.
    """
    fields: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
        **present_ids(),
    }
    arguments = record.args if isinstance(record.args, tuple) else ()
    for placeholder, argument in zip(_PLACEHOLDER.finditer(str(record.msg)), arguments, strict=False):
        if placeholder[1]:
            fields[f"{placeholder[1]}_id"] = str(argument)
    if repeated := getattr(record, "repeated", 0):
        fields["repeated"] = repeated
    if record.exc_info and record.exc_info[0] is not None:
        fields["error"] = record.exc_info[0].__name__
    return json.dumps(fields)


def _on_thread_error(ended: threading.ExceptHookArgs) -> None:
    """Log the error of a thread in one line, instead of Python's traceback.

    A database thread may fail after an interrupt, because its event loop is closed.
    """
    error = ended.exc_value
    if error is not None and "loop is closed" not in str(error):
        logging.getLogger("bot").error("a thread ended unexpectedly (%s)", type(error).__name__, exc_info=error)


def handler_for(terminal: Terminal, data_dir: Path, log_format: str) -> logging.Handler:
    """Return the handler that prints records as "text" or "json"."""
    return (_JsonHandler if log_format == "json" else _LineHandler)(terminal, data_dir)


def configure(terminal: Terminal, data_dir: Path, log_format: str = "text") -> None:
    """Send the log of this process to standard error, as "text" or "json"."""
    threading.excepthook = _on_thread_error
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(handler_for(terminal, data_dir, log_format))
    root.setLevel(logging.WARNING)
