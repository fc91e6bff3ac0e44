"""Subcommands of this feature."""

from bot.help.call import Call


async def connect(call: Call) -> None:
    """Open the modal that connects an Iterable project."""
