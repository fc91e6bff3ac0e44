"""The help message, and the answer to an unknown subcommand."""

from collections.abc import Sequence
from dataclasses import dataclass

from slack_sdk.models.blocks import Block

from bot.features.ids import COMMAND
from bot.ui.blocks import Message, context, header, section, text_message
from bot.ui.formatting import cut, escape

# The answer repeats at most this many characters of what a person typed.
_TYPED_MAX = 40
_ABOUT = (
    "Iterable Sync keeps a list in Iterable equal to an audience of mParticle, and shows what would change before "
    "anything is sent. A *mapping* says which audience goes to which list. A *run* is one sync of a mapping."
)
_ELSEWHERE = (
    "To sync a file that is posted in a channel, choose *Sync to Iterable* in the menu of its message. Admins set "
    "reports and alerts on the *Home* page of this app."
)


@dataclass(frozen=True, slots=True)
class Line:
    """A subcommand in the help message."""

    usage: str
    sentence: str
    example: str


def help_message(lines: Sequence[Line]) -> Message:
    """Return the help message."""
    blocks: list[Block] = [header("Iterable Sync commands"), section(_ABOUT)]
    blocks += [section(_described(line)) for line in lines]
    blocks.append(context(_ELSEWHERE))
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
