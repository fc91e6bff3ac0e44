"""Subcommands of this feature."""

from collections.abc import Awaitable, Callable

from bot.features.ids import MappingAction
from bot.features.mapping import activation, views
from bot.features.mapping.open import open_map
from bot.features.mapping_lookup import MappingRef, find, suggest_similar
from bot.features.slash_command import SlashCommand
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.reply import reply_privately
from bot.ui.blocks import Message
from bot.ui.formatting import cut, escape

_Move = Callable[[Services, Actor, MappingRef], Awaitable[Message]]


async def map_(call: SlashCommand) -> None:
    """Open the modal that maps an audience to a list."""
    await open_map(call.services, call.client, call.actor)


async def pause(call: SlashCommand) -> None:
    """Pause a mapping."""
    await _move(call, activation.pause, MappingAction.PAUSE, "Pause")


async def resume(call: SlashCommand) -> None:
    """Resume a mapping."""
    await _move(call, activation.resume, MappingAction.RESUME, "Resume")


async def the_one(call: SlashCommand, action: MappingAction | str, verb: str) -> MappingRef | None:
    """The mapping that the argument names. Where that is not one, the person is told which there are, with a button
    that does it (value: the mapping's id)."""
    text = call.argument.strip()
    found = await find(call.services, call.actor, text) if text else []
    if len(found) == 1:
        return found[0]
    if found:
        title = f"*{escape(cut(text, 80))}* is the name of several mappings."
    else:
        known = await find(call.services, call.actor)
        found = (suggest_similar(text, known) if text else []) or known
        title = f"There is no mapping *{escape(cut(text, 80))}*." if text else ""
    await reply_privately(call.client, call.actor, views.which(found, title, "Which one?", action, verb))
    return None


async def _move(call: SlashCommand, move: _Move, action: MappingAction, verb: str) -> None:
    it = await the_one(call, action, verb)
    if it is not None:
        await reply_privately(call.client, call.actor, await move(call.services, call.actor, it))
