"""Logging at the command line: warnings of ours as one line on standard error, everybody else quiet.

A command that wants to hear more of a part lowers the level of that part's logger.
"""

import logging
import threading
from pathlib import Path

from rich.text import Text

from bot.cli.errors import record as record_error
from bot.ui.terminal import Terminal, clean

_OURS = ("core", "bot")


class _Lines(logging.Handler):
    """Says a record in one line; what it holds of an error goes into the log of errors."""

    def __init__(self, terminal: Terminal, data_dir: Path) -> None:
        super().__init__()
        self._terminal = terminal
        self._data_dir = data_dir

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record of ours."""
        ours = record.name.partition(".")[0] in _OURS
        if record.exc_info and record.exc_info[1] is not None and (ours or record.levelno >= logging.ERROR):
            record_error(record.exc_info[1], self._data_dir)
        if ours:
            line = clean(record.getMessage()).partition("\n")[0]
            self._terminal.err.print(Text(f"{record.levelname.lower()}: {line}", style="dim"), soft_wrap=True)


def _on_thread_error(ended: threading.ExceptHookArgs) -> None:
    """Say in a line that a thread ended by an error. Python would print a traceback.

    A thread of the database may end so where a command was interrupted: it has an answer for somebody who has left.
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
    root.addHandler(_Lines(terminal, data_dir))
    root.setLevel(logging.WARNING)
    logging.getLogger("dbos").addHandler(logging.NullHandler())  # else it makes itself a handler for the console
