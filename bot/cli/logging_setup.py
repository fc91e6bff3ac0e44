"""Logging on the command line: our warnings as one line each on standard error, other libraries silent.

A line is text or JSON (ITERABLE_SYNC_LOG_FORMAT). A command that shows more lowers the level of the logger in question.
"""

import json
import logging
import re
import threading
from datetime import UTC, datetime
from pathlib import Path

from rich.text import Text

from bot.cli import errors
from bot.ui.terminal import Terminal, clean

_OURS = ("core", "bot")
# A placeholder of a log message, with the subject that it names.
_PLACEHOLDER = re.compile(r"(?:\b(run|connection|workspace) )?%[sdr]")


class _LineHandler(logging.Handler):
    """Prints a record in one line, and writes its error to the error log."""

    def __init__(self, terminal: Terminal, data_dir: Path) -> None:
        super().__init__()
        self._terminal = terminal
        self._data_dir = data_dir

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record of ours."""
        ours = record.name.partition(".")[0] in _OURS
        if record.exc_info and record.exc_info[1] is not None and (ours or record.levelno >= logging.ERROR):
            errors.record(record.exc_info[1], self._data_dir)
        if ours:
            self._print(record)

    def _print(self, record: logging.LogRecord) -> None:
        line = clean(record.getMessage()).partition("\n")[0]
        self._terminal.err.print(Text(f"{record.levelname.lower()}: {line}", style="dim"), soft_wrap=True)


class _JsonHandler(_LineHandler):
    """As `_LineHandler`, but prints JSON."""

    def _print(self, record: logging.LogRecord) -> None:
        print(json_line(record), file=self._terminal.err.file, flush=True)


def json_line(record: logging.LogRecord) -> str:
    """Return a record as a JSON object on one line: time (ISO 8601, UTC), level, logger, message, and what it is about.

    Our messages name their subject before its placeholder, as in "run %s". So `run_id`, `connection_id` and
    `workspace_id` come from the arguments. `error` is the type of the exception: its text may quote an address.
    """
    fields = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    arguments = record.args if isinstance(record.args, tuple) else ()
    for placeholder, argument in zip(_PLACEHOLDER.finditer(str(record.msg)), arguments, strict=False):
        if placeholder[1]:
            fields[f"{placeholder[1]}_id"] = str(argument)
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


def configure(terminal: Terminal, data_dir: Path, log_format: str = "text") -> None:
    """Send the log of this process to standard error, as "text" or "json"."""
    threading.excepthook = _on_thread_error
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler((_JsonHandler if log_format == "json" else _LineHandler)(terminal, data_dir))
    root.setLevel(logging.WARNING)
