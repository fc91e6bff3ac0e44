"""What help looks like, and the answer to a word that is not a subcommand."""

from collections.abc import Sequence
from dataclasses import dataclass

from slack_sdk.models.blocks import Block

from bot.features.ids import COMMAND
from bot.ui.blocks import Message, header, section
from bot.ui.formatting import cut, escape

# What somebody typed is shown again, but not all of it.
_TYPED_MAX = 40


@dataclass(frozen=True, slots=True)
class Line:
    """A subcommand, as help lists it."""

    usage: str
    sentence: str
    example: str


def help_message(lines: Sequence[Line]) -> Message:
    """All subcommands, each with a sentence and an example."""
    blocks: list[Block] = [header("What Iterable Sync can do")]
    blocks += [section(_described(line)) for line in lines]
    names = ", ".join(line.usage.split()[0] for line in lines if line.usage)
    return Message(f"`{COMMAND}` starts a sync. It also takes: {names}.", blocks)


def unknown(name: str, meant: str | None) -> Message:
    """There is no such subcommand."""
    typed = escape(cut(name, _TYPED_MAX)).replace("`", "'")
    asked = f" Did you mean `{COMMAND} {meant}`?" if meant else ""
    text = f'There is no subcommand "{typed}".{asked} `{COMMAND} help` lists them all.'
    return Message(text, [section(text)])


def _described(line: Line) -> str:
    usage = f"{COMMAND} {line.usage}".strip()
    described = f"`{escape(usage)}`\n{escape(line.sentence)}"
    return described if line.example == line.usage else f"{described} For example: `{COMMAND} {line.example}`"
