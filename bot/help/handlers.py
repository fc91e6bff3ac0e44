"""The slash command and its subcommands."""

from slack_bolt.async_app import AsyncApp

from bot.services import Services


def register(app: AsyncApp, services: Services) -> None:
    """Add the listeners of this feature to the app."""
