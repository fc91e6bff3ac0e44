"""Subcommands of this feature."""

from bot.features.connect.open import open_connect
from bot.features.slash_command import Call


async def connect(call: Call) -> None:
    """Open the modal that connects an Iterable project."""
    await open_connect(call.services, call.client, call.actor)
