"""The subcommand `why`: explains whether a person is on a list."""

import html
import re

from bot.features.slash_command import SlashCommand
from bot.features.why import views
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.reply import reply_privately
from bot.ui.blocks import Message
from core.connections.permissions import may_see_rejected
from core.errors import InputError
from core.reporting.member_lookup import look_up_member


async def why(call: SlashCommand) -> None:
    """Show privately why a person is on a list, or is not."""
    typed = typed_identity(call.argument)
    message = await look_up(call.services, call.actor, typed) if typed else views.USAGE
    await reply_privately(call.client, call.actor, message)


# Slack turns typed addresses and phone numbers into links: <mailto:a@example.com|a@example.com>
_LINK = re.compile(r"<(?:mailto|tel|https?):([^|>]*)(?:\|([^>]*))?>")
_QUOTES = "`\"'“”‘’ \t\n"


def typed_identity(argument: str) -> str:
    """Return the typed address or id, without Slack's link and without quotes."""
    text = argument.strip(_QUOTES)
    if link := _LINK.fullmatch(text):
        text = link[2] or link[1]
    return html.unescape(text).strip(_QUOTES)


async def look_up(services: Services, actor: Actor, typed: str) -> Message:
    """Look a person up by an address or an id. Raises InputError if nothing is connected."""
    seen = await services.connections(actor)
    if not seen:
        raise InputError("No Iterable project is connected yet, so no one is on record here.")
    allowed = [each for each in seen if may_see_rejected(each, actor.person)]
    left_out = [each for each in seen if each not in allowed]
    if not allowed:
        return views.refused(seen)
    report = await look_up_member(services.engine, allowed, typed, by=actor.person, team_id=actor.team_id)
    return views.answer(typed, report, left_out)
