"""The subcommands `freeze` and `unfreeze`."""

import re
from dataclasses import replace

from bot.features.freezes import actions, views
from bot.features.ids import FreezeAction
from bot.features.mapping.commands import the_one
from bot.features.mapping_lookup import MappingRef
from bot.features.slash_command import SlashCommand
from bot.slack.reply import reply_privately

#: The word for all mappings.
ALL = "all"
_UNTIL = re.compile(r"(?P<name>.+?)\s+(?:until|till|for)\s+(?P<when>\S.*)", re.IGNORECASE)
_QUOTES = "\"'“”‘’"


async def freeze(call: SlashCommand) -> None:
    """Freeze a mapping, or all, until a time. Without a time, the person is asked for it."""
    match = _UNTIL.fullmatch(call.argument)
    name, when = (match["name"], match["when"]) if match else (call.argument, "")
    is_all, ref = await _which(call, name, FreezeAction.OPEN, "Freeze")
    if not is_all and ref is None:
        return
    if not when:
        await reply_privately(call.client, call.actor, views.until_when(ref))
        return
    current = await actions.freeze(call.services, call.client, call.actor, ref, when)
    await reply_privately(call.client, call.actor, views.frozen(ref, current))


async def unfreeze(call: SlashCommand) -> None:
    """End the freeze of a mapping, or of all."""
    is_all, ref = await _which(call, call.argument, FreezeAction.UNFREEZE, "Unfreeze")
    if is_all or ref is not None:
        other = await actions.unfreeze(call.services, call.actor, ref)
        await reply_privately(call.client, call.actor, views.unfrozen(ref, other))


async def _which(call: SlashCommand, name: str, action: FreezeAction, verb: str) -> tuple[bool, MappingRef | None]:
    """Return whether all mappings are named, and else the mapping that is (None: the person gets the candidates)."""
    name = name.strip().strip(_QUOTES)
    if name.casefold() == ALL:
        return True, None
    return False, await the_one(replace(call, argument=name), action, verb)
