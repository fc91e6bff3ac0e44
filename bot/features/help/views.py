"""The help message, and the answer to an unknown subcommand."""

from collections.abc import Sequence
from dataclasses import dataclass

from slack_sdk.models.blocks import Block

from bot.features.ids import COMMAND
from bot.ui.blocks import Message, header, section, text_message
from bot.ui.formatting import cut, escape

# The answer repeats at most this many characters of what a person typed.
_TYPED_MAX = 40


@dataclass(frozen=True, slots=True)
class Line:
    """A subcommand in the help message."""

    usage: str
    sentence: str
    example: str


def help_message(lines: Sequence[Line]) -> Message:
    """Return the help message."""
    blocks: list[Block] = [header("Iterable Sync commands")]
    blocks += [section(_described(line)) for line in lines]
    names = ", ".join(line.usage.split()[0] for line in lines if line.usage)
    return Message(f"`{COMMAND}` starts a sync. It also takes: {names}.", blocks)


def unknown(name: str, suggestion: str | None) -> Message:
    """Return the answer to an unknown subcommand, with a suggestion."""
    typed = escape(cut(name, _TYPED_MAX)).replace("`", "'")
    asked = f" Did you mean `{COMMAND} {suggestion}`?" if suggestion else ""
    text = f'There is no subcommand "{typed}".{asked} `{COMMAND} help` lists them all.'
    return text_message(text)


def _described(line: Line) -> str:
    usage = f"{COMMAND} {line.usage}".strip()
    described = f"`{escape(usage)}`\n{escape(line.sentence)}"
    return described if line.example == line.usage else f"{described} For example: `{COMMAND} {line.example}`"
