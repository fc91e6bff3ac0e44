"""Logging on the command line: our warnings as one line each on standard error, other libraries silent.

A command that shows more lowers the level of the logger in question.
"""

import logging
import threading
from pathlib import Path

from rich.text import Text

from bot.cli import errors
from bot.ui.terminal import Terminal, clean

_OURS = ("core", "bot")


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
            line = clean(record.getMessage()).partition("\n")[0]
            self._terminal.err.print(Text(f"{record.levelname.lower()}: {line}", style="dim"), soft_wrap=True)


def _on_thread_error(ended: threading.ExceptHookArgs) -> None:
    """Log the error of a thread in one line, instead of Python's traceback.

    A database thread may fail after an interrupt, because its event loop is closed.
    """
    error = ended.exc_value
    if error is not None and "loop is closed" not in str(error):
        logging.getLogger("bot").error("a thread ended unexpectedly (%s)", type(error).__name__, exc_info=error)


def configure(terminal: Terminal, data_dir: Path) -> None:
    """Send the log of this process to the terminal."""
    threading.excepthook = _on_thread_error
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(_LineHandler(terminal, data_dir))
    root.setLevel(logging.WARNING)
    logging.getLogger("dbos").addHandler(logging.NullHandler())  # otherwise it adds a console handler
