"""A subcommand of `/iterable-sync` as a person typed it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from slack_sdk.web.async_client import AsyncWebClient

from bot.actor import Actor
from bot.services import Services


@dataclass(frozen=True, slots=True)
class Call:
    """Who typed it where, and what came after the subcommand's name. Slack has been answered already."""

    services: Services
    client: AsyncWebClient
    actor: Actor
    argument: str


#: Carries a subcommand out, and shows the person what came of it. May raise any SyncError.
Subcommand = Callable[[Call], Awaitable[None]]
