"""Subcommands of this feature."""

from bot.features.connect.open import open_connect
from bot.features.slash_command import SlashCommand


async def connect(call: SlashCommand) -> None:
    """Open the modal that connects an Iterable project."""
    await open_connect(call.services, call.client, call.actor)
