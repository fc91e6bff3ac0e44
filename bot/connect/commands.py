"""Subcommands of this feature."""

from bot.connect.opening import open_connect
from bot.help.call import Call


async def connect(call: Call) -> None:
    """Open the modal that connects an Iterable project."""
    await open_connect(call.services, call.client, call.actor)
