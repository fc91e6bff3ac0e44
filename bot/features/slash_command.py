"""A subcommand of `/iterable-sync` as a person typed it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from slack_sdk.web.async_client import AsyncWebClient

from bot.services import Services
from bot.slack.actor import Actor


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """Who typed it where, and what came after the subcommand's name. Slack has been answered already."""

    services: Services
    client: AsyncWebClient
    actor: Actor
    argument: str


#: Carries a subcommand out, and shows the person what came of it. May raise any SyncError.
SubcommandHandler = Callable[[SlashCommand], Awaitable[None]]
