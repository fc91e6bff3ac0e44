"""The terminal: results on standard output, all that is said on the way on standard error."""

import asyncio
import os
import sys

from rich.console import Console, RenderableType
from rich.text import Text

# Where there is no terminal nothing is wrapped: a line stays a line for grep, for a log and for copying.
_UNWRAPPED = 10_000


class Terminal:
    """Both streams as consoles. What comes from outside is shown as text: no markup, no control characters."""

    def __init__(self, *, as_json: bool = False) -> None:
        """With `as_json`, standard output is kept for one JSON object."""
        self.as_json = as_json
        self.out = _console(stderr=False)
        self.err = _console(stderr=True)

    @property
    def is_attended(self) -> bool:
        """Whether a person sits there who can be asked."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def say(self, sentence: str, style: str = "") -> None:
        """Say something on the way."""
        _print(self.err, Text(clean(sentence), style=style))

    def tell(self, what: RenderableType) -> None:
        """Show on the way something that is more than a sentence."""
        _print(self.err, what)

    def show(self, result: RenderableType) -> None:
        """Show a result. With `as_json` it is not shown."""
        if not self.as_json:
            _print(self.out, result)

    def line(self, text: str, style: str = "") -> None:
        """Show a result that is a line of text."""
        self.show(Text(clean(text), style=style))

    def leave(self, last_words: str) -> None:
        """Give the terminal back as it was, whatever is shown on it, and say something below that."""
        self.err.show_cursor()
        shown = "\n" if self.err.is_terminal else ""
        print(f"{shown}{last_words}", file=self.err.file, flush=True)

    async def asks(self, question: str, given_up: asyncio.Event) -> bool:
        """Ask a person a question; anything but a yes is a no, and so is giving up."""
        self.err.print(Text(f"{question} [y/N] ", style="bold"), end="")
        loop = asyncio.get_running_loop()
        answered = asyncio.Event()
        loop.add_reader(sys.stdin.fileno(), answered.set)
        waits = [asyncio.create_task(event.wait(), name="answer") for event in (answered, given_up)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(sys.stdin.fileno())
            for wait in waits:
                wait.cancel()
        if given_up.is_set():
            self.err.print()
            return False
        answer = sys.stdin.readline()
        if not answer:  # Ctrl-D leaves the cursor behind the question
            self.err.print()
        return answer.strip().lower() in {"y", "yes"}


def clean(text: str) -> str:
    """Return a text without what could steer a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = _UNWRAPPED
    return console


def _print(console: Console, what: RenderableType) -> None:
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as shown:
        console.print(what)
    # tables fill their last column with blanks
    print("\n".join(line.rstrip() for line in shown.get().split("\n")), end="", file=console.file, flush=True)
