"""Telling the tour in the terminal: chapters, what people do, and what Slack shows, as text."""

import textwrap
from typing import Any

from rich.text import Text

from bot.ui.terminal import Terminal, clean
from sandbox.slack import Message, Person, Slack

_WIDTH = 110
_INDENT = "    "


class Narrator:
    """Says what happens, in order."""

    def __init__(self, terminal: Terminal, slack: Slack) -> None:
        """Take where it is said, and the Slack in which it happens."""
        self._terminal = terminal
        self._slack = slack

    def chapter(self, title: str, story: str) -> None:
        """Begin a part of the story."""
        self._terminal.show(Text.assemble("\n", (title, "bold magenta")))
        self._terminal.line("\n".join(textwrap.wrap(story, _WIDTH)))

    def does(self, person: Person, what: str) -> None:
        """A person does something."""
        name = person.user.real_name.split()[0]
        self._terminal.show(Text.assemble("\n", (f"> {name} ", "bold cyan"), (clean(what), "cyan")))

    def happens(self, what: str) -> None:
        """Something happens that no person of the workspace does."""
        self._terminal.show(Text.assemble("\n", (f"> {clean(what)}", "bold yellow")))

    def shows(self, where: str, what: Any) -> None:
        """Slack shows a message or a modal."""
        place = where
        if isinstance(what, Message) and what.thread_ts and what.thread_ts != what.ts:
            place += ", in the thread"
        shown = self._slack.render(what)
        self._terminal.show(Text(f"\n  [{place}]", style="dim"))
        for line in shown.splitlines():
            for piece in textwrap.wrap(line, _WIDTH, subsequent_indent="  ") or [""]:
                self._terminal.line(_INDENT + piece)

    def quotes(self, text: str) -> None:
        """Lines of something else, such as of a file."""
        for line in text.splitlines():
            self._terminal.line(f"{_INDENT}| {line}")

    def finds(self, finding: str, *, good: bool) -> None:
        """What was found out in the end."""
        self._terminal.line(f"\n{finding}", "green" if good else "bold red")
