"""The slash command: acknowledges it, and calls the subcommand."""

from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.features.help.subcommands import SUBCOMMANDS, closest_match, parse
from bot.features.help.views import unknown
from bot.features.ids import COMMAND
from bot.features.slash_command import SlashCommand
from bot.services import Services
from bot.slack.actor import Actor
from bot.slack.reply import reply_privately


def register(app: AsyncApp, services: Services) -> None:
    """Register this feature's listeners."""

    @app.command(COMMAND)
    async def on_command(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        name, argument = parse(body.get("text") or "")
        actor = Actor.of(body)
        if name in SUBCOMMANDS:
            await SUBCOMMANDS[name].run(SlashCommand(services, client, actor, argument))
        else:
            await reply_privately(client, actor, unknown(name, closest_match(name)))
