"""Subcommands of this feature."""

from bot.help.call import Call


async def why(call: Call) -> None:
    """Say privately why a person is on a list, or is not."""
