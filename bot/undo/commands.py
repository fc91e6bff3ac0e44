"""Subcommands of this feature."""

from bot.help.call import Call


async def undo(call: Call) -> None:
    """Open the preview of taking a run back."""
