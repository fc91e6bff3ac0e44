"""Subcommands of this feature."""

from bot.features.slash_command import SlashCommand
from bot.features.why import views
from bot.features.why.actions import look_up
from bot.features.why.parse import meant
from bot.slack.reply import reply_privately


async def why(call: SlashCommand) -> None:
    """Say privately why a person is on a list, or is not."""
    typed = meant(call.argument)
    message = await look_up(call.services, call.actor, typed) if typed else views.USAGE
    await reply_privately(call.client, call.actor, message)
