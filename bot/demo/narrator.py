"""Prints the tour: chapters, what people do, and what Slack shows."""

import textwrap
from typing import Any

from rich.text import Text

from bot.ui.formatting import cut
from bot.ui.terminal import Terminal, clean
from sandbox.slack import Message, Person, Slack

_WIDTH = 110
_INDENT = "    "


class Narrator:
    """Prints events in their order."""

    def __init__(self, terminal: Terminal, slack: Slack) -> None:
        """Take the terminal, and the Slack that renders messages."""
        self._terminal = terminal
        self._slack = slack

    def chapter(self, title: str, text: str) -> None:
        """Print the heading and the introduction of a chapter."""
        self._terminal.show(Text.assemble("\n", (title, "bold magenta")))
        self._terminal.line("\n".join(textwrap.wrap(text, _WIDTH)))

    def does(self, person: Person, action: str) -> None:
        """Print what a person does."""
        name = person.user.real_name.split()[0]
        self._terminal.show(Text.assemble("\n", (f"> {name} ", "bold cyan"), (clean(action), "cyan")))

    def happens(self, event: str) -> None:
        """Print an event that no person causes."""
        self._terminal.show(Text.assemble("\n", (f"> {clean(event)}", "bold yellow")))

    def shows(self, place: str, content: Any) -> None:
        """Print a message or a modal as Slack shows it."""
        title = place
        if isinstance(content, Message) and content.thread_ts and content.thread_ts != content.ts:
            title += ", in the thread"
        shown = self._slack.render(content)
        self._terminal.show(Text(f"\n  [{title}]", style="dim"))
        for line in shown.splitlines():
            for piece in textwrap.wrap(line, _WIDTH, subsequent_indent="  ") or [""]:
                self._terminal.line(_INDENT + piece)

    def quotes(self, text: str) -> None:
        """Print quoted lines, such as those of a file, as far as they fit."""
        for line in text.splitlines():
            self._terminal.line(f"{_INDENT}| {cut(line, _WIDTH)}")

    def finds(self, finding: str, *, good: bool) -> None:
        """Print a result."""
        self._terminal.line(f"\n{finding}", "green" if good else "bold red")
