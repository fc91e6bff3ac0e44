"""The terminal: results go to standard output, everything else to standard error."""

import asyncio
import os
import sys

from rich.console import Console, RenderableType
from rich.text import Text

from bot.supervisor import first_of

# Without a terminal, lines are not wrapped, so that grep and copying see whole lines.
_UNWRAPPED = 10_000


class Terminal:
    """Both output streams as consoles. Text from outside is printed without markup and control characters."""

    def __init__(self, *, as_json: bool = False) -> None:
        """With `as_json`, standard output gets one JSON object and nothing else."""
        self.as_json = as_json
        self.out = _console(stderr=False)
        self.err = _console(stderr=True)

    @property
    def is_attended(self) -> bool:
        """Whether a person can answer questions."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def say(self, sentence: str, style: str = "") -> None:
        """Print a sentence to standard error."""
        _print(self.err, Text(clean(sentence), style=style))

    def tell(self, renderable: RenderableType) -> None:
        """Print a table or another renderable to standard error."""
        _print(self.err, renderable)

    def show(self, result: RenderableType) -> None:
        """Print a result to standard output, except with `as_json`."""
        if not self.as_json:
            _print(self.out, result)

    def line(self, text: str, style: str = "") -> None:
        """Print a line of text as a result."""
        self.show(Text(clean(text), style=style))

    def leave(self, last_words: str) -> None:
        """Restore the terminal, and print a last line."""
        self.err.show_cursor()
        shown = "\n" if self.err.is_terminal else ""
        print(f"{shown}{last_words}", file=self.err.file, flush=True)

    async def ask(self, question: str, given_up: asyncio.Event) -> bool:
        """Ask a yes/no question. Any answer other than yes counts as no, and so does setting `given_up`."""
        self.err.print(Text(f"{question} [y/N] ", style="bold"), end="")
        loop = asyncio.get_running_loop()
        answered = asyncio.Event()
        loop.add_reader(sys.stdin.fileno(), answered.set)
        try:
            await first_of(answered.wait(), given_up.wait())
        finally:
            loop.remove_reader(sys.stdin.fileno())
        if given_up.is_set():
            self.err.print()
            return False
        answer = sys.stdin.readline()
        if not answer:  # after Ctrl-D the cursor is still behind the question
            self.err.print()
        return answer.strip().lower() in {"y", "yes"}


def clean(text: str) -> str:
    """Replace control characters, which could change the terminal's state."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = _UNWRAPPED
    return console


def _print(console: Console, renderable: RenderableType) -> None:
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as shown:
        console.print(renderable)
    # Rich pads the last column of tables.
    print("\n".join(line.rstrip() for line in shown.get().split("\n")), end="", file=console.file, flush=True)
