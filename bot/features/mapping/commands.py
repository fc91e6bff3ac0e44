"""Subcommands of this feature."""

from collections.abc import Awaitable, Callable

from bot.features.mapping import activation, views
from bot.features.mapping.ids import Action
from bot.features.mapping.open import open_map
from bot.features.mapping_lookup import Known, close_to, find
from bot.features.slash_command import Call
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.reply import reply
from bot.ui.blocks import Message
from bot.ui.formatting import cut, escape

_Move = Callable[[Services, Actor, Known], Awaitable[Message]]


async def map_(call: Call) -> None:
    """Open the modal that maps an audience to a list."""
    await open_map(call.services, call.client, call.actor)


async def pause(call: Call) -> None:
    """Pause a mapping."""
    await _move(call, activation.pause, Action.PAUSE, "Pause")


async def resume(call: Call) -> None:
    """Resume a mapping."""
    await _move(call, activation.resume, Action.RESUME, "Resume")


async def the_one(call: Call, action: Action | str, verb: str) -> Known | None:
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
        found = (close_to(text, known) if text else []) or known
        title = f"There is no mapping *{escape(cut(text, 80))}*." if text else ""
    await reply(call.client, call.actor, views.which(found, title, "Which one?", action, verb))
    return None


async def _move(call: Call, move: _Move, action: Action, verb: str) -> None:
    it = await the_one(call, action, verb)
    if it is not None:
        await reply(call.client, call.actor, await move(call.services, call.actor, it))
