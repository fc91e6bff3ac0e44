"""Subcommands of this feature."""

from bot.help.call import Call


async def map_(call: Call) -> None:
    """Open the modal that maps an audience to a list."""


async def pause(call: Call) -> None:
    """Pause a mapping."""


async def resume(call: Call) -> None:
    """Resume a mapping."""
