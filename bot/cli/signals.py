"""Ctrl-C and SIGTERM: the first stops cleanly, the second exits at once."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bot.cli.exit_codes import ExitCode
from bot.ui.terminal import Terminal

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SignalHandler:
    """Reacts to signals. Inside `stopping_with`, the command is asked to stop; outside, it is cancelled."""

    def __init__(self, terminal: Terminal) -> None:
        """Take the terminal, which is restored before an immediate exit."""
        self._terminal = terminal
        self._asked = False
        self._stop: Callable[[], None] | None = None
        self._last_words = ""

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Handle signals for the length of the block; the current task is cancelled."""
        self._begin()
        try:
            yield
        finally:
            self._end()

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """Let Ctrl-C raise KeyboardInterrupt for the length of a block that blocks the event loop for a prompt."""
        self._end()
        try:
            yield
        finally:
            self._begin()

    @contextmanager
    def stopping_with(self, stop: Callable[[], None], *, last_words: str = "") -> Iterator[None]:
        """Call `stop` at the first signal within the block, and print `last_words` at the second."""
        before = self._stop, self._last_words
        self._stop, self._last_words = stop, last_words
        try:
            yield
        finally:
            self._stop, self._last_words = before

    def _begin(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, task)

    def _end(self) -> None:
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _on_signal(self, task: asyncio.Task[object]) -> None:
        if self._asked:
            self._terminal.leave(self._last_words)
            os._exit(ExitCode.INTERRUPTED)
        self._asked = True
        if self._stop is None:
            task.cancel()
        else:
            self._stop()
