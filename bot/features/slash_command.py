"""The call of a subcommand of `/iterable-sync`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from slack_sdk.web.async_client import AsyncWebClient

from bot.services import Services
from bot.slack.actor import Actor


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """Who called a subcommand, where, and with which argument. It is acknowledged already."""

    services: Services
    client: AsyncWebClient
    actor: Actor
    argument: str


#: Executes a subcommand, and shows the result to the person. May raise any SyncError.
SubcommandHandler = Callable[[SlashCommand], Awaitable[None]]
