"""Subcommands of this feature."""

from bot.help.call import Call


async def start(call: Call) -> None:
    """Open *Start a sync*, or *Connect* where nothing is connected."""


async def run(call: Call) -> None:
    """Open *Start a sync* for a mapping."""


async def cancel(call: Call) -> None:
    """Cancel a run: the one that is named, or the only one under way."""
