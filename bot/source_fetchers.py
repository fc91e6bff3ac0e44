"""Registers what core can't do itself: fetching files in Slack, uploads to the API and rejected members of earlier
runs, and finding people in Slack."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from core.engine import Engine
from core.runs import rejected_members, uploads

if TYPE_CHECKING:
    from bot.slack.clients import Clients


async def _uploaded(data_dir: Path, address: str, _folder: Path) -> Path:
    return await asyncio.to_thread(uploads.path_of, data_dir, address)


async def register_people(engine: Engine) -> None:
    """Let an engine find people in Slack, if Slack is configured."""
    settings = engine.settings
    if settings.slack_bot_token is None and settings.slack_client_id is None:
        return
    from bot.slack import people_finder
    from bot.slack.app_factory import open_workspaces
    from bot.slack.user_groups import UserGroupDirectory

    people_finder.register(engine, (await open_workspaces(engine)).clients, UserGroupDirectory())


async def register(engine: Engine, clients: "Clients | None" = None) -> None:
    """Register the fetchers with an engine. Files in Slack need Slack's settings."""
    engine.fetchers[rejected_members.REJECTED_SCHEME] = lambda address, folder: rejected_members.write_rejected(
        engine, address, folder
    )
    settings = engine.settings
    engine.fetchers[uploads.SCHEME] = partial(_uploaded, settings.data_dir)
    if clients is None and settings.slack_bot_token is None and settings.slack_client_id is None:
        return
    from bot.slack.app_factory import open_workspaces
    from bot.slack.file_source import SLACK_FILE, SlackFiles  # imported late: slack-sdk is slow to import

    engine.fetchers[SLACK_FILE] = SlackFiles(clients or (await open_workspaces(engine)).clients).fetch
