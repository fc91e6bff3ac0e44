"""Answering a person privately, where they acted; and where Slack does not take it there, in a direct message."""

import logging
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.actor import Actor
from bot.blocks import Message
from bot.slack.errors import word_of

logger = logging.getLogger(__name__)


async def reply(client: AsyncWebClient, actor: Actor, message: Message) -> None:
    """Show a message to one person only: in the channel where they acted, else in the conversation with the bot.

    Raises SlackApiError where Slack takes it in neither.
    """
    if actor.channel is not None:
        try:
            await client.chat_postEphemeral(channel=actor.channel, user=actor.person, **_ephemeral(message))
        except SlackApiError as error:  # the bot is not in the channel, or it is somebody else's conversation
            logger.info("an answer goes to a direct message: %s", word_of(error))
        else:
            return
    await client.chat_postMessage(channel=actor.person, **message.payload())


async def open_modal(client: AsyncWebClient, actor: Actor, view: dict[str, Any]) -> str:
    """Open a modal, on top of the one that is open where the person acted in one. Returns its id.

    Raises SlackApiError, for example where the person's click is more than 3 s ago.
    """
    answer = await client.views_open(trigger_id=actor.trigger_id, view=view)
    return str(answer["view"]["id"])


def _ephemeral(message: Message) -> dict[str, Any]:
    payload = message.payload()
    return {"text": payload["text"], "blocks": payload["blocks"]}
