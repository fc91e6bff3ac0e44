"""How audiences are fetched that are neither files here nor at an address that core knows."""

from typing import TYPE_CHECKING

from core import control
from core.engine import Engine

if TYPE_CHECKING:
    from bot.clients import Clients


async def register(engine: Engine, clients: "Clients | None" = None) -> None:
    """Let runs of this process read what earlier ones rejected, and files in Slack as far as Slack is set."""
    engine.fetchers[control.REJECTED] = lambda address, folder: control.write_rejected(engine, address, folder)
    settings = engine.settings
    if clients is None and settings.slack_bot_token is None and settings.slack_client_id is None:
        return
    from bot.runs.files import SLACK_FILE, SlackFiles  # slack-sdk takes its time, and not everybody has a Slack
    from bot.slack.building import open_workspaces

    engine.fetchers[SLACK_FILE] = SlackFiles(clients or (await open_workspaces(engine)).clients).fetch
