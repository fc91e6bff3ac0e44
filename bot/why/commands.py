"""Subcommands of this feature."""

from bot.help.call import Call
from bot.reply import reply
from bot.why import views
from bot.why.lookup import look_up
from bot.why.typed import meant


async def why(call: Call) -> None:
    """Say privately why a person is on a list, or is not."""
    typed = meant(call.argument)
    message = await look_up(call.services, call.actor, typed) if typed else views.USAGE
    await reply(call.client, call.actor, message)
