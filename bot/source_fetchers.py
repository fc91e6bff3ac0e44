"""Registers fetchers for audiences that core can't fetch itself: files in Slack, and rejected members of earlier
runs."""

from typing import TYPE_CHECKING

from core.engine import Engine
from core.runs import rejected_members

if TYPE_CHECKING:
    from bot.slack.clients import Clients


async def register(engine: Engine, clients: "Clients | None" = None) -> None:
    """Register the fetchers with an engine. Files in Slack need Slack's settings."""
    engine.fetchers[rejected_members.REJECTED_SCHEME] = lambda address, folder: rejected_members.write_rejected(
        engine, address, folder
    )
    settings = engine.settings
    if clients is None and settings.slack_bot_token is None and settings.slack_client_id is None:
        return
    from bot.slack.app_factory import open_workspaces
    from bot.slack.file_source import SLACK_FILE, SlackFiles  # imported late: slack-sdk is slow to import

    engine.fetchers[SLACK_FILE] = SlackFiles(clients or (await open_workspaces(engine)).clients).fetch
