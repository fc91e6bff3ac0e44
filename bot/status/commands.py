"""Subcommands of this feature."""

from bot.help.call import Call


async def status(call: Call) -> None:
    """Show privately what is under way, what waits and how the mappings are."""


async def history(call: Call) -> None:
    """Show privately the latest runs, of a mapping or of all."""
