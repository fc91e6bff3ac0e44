"""What goes wrong in a handler: known errors in their own words, others as an id that is in the log.

The person is told where they acted: in the modal, in the channel (to them alone), or in a direct message.
"""

import asyncio
import logging
import secrets
from typing import Any

import aiohttp
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy.exc import DBAPIError

from bot.slack.actor import Actor
from bot.slack.errors import word_of
from bot.slack.reply import change_modal, reply_privately
from bot.ui.blocks import Message, notice, section
from bot.ui.formatting import escape
from core.errors import SyncError
from core.store.database_errors import describe

# Bolt looks every 10 ms whether a listener has acknowledged, and forgets the acknowledgement of one that raises in
# between: Slack would get none. Its timer is due before this one (seconds).
ACK_SEEN_S = 0.03

logger = logging.getLogger(__name__)


def register(app: AsyncApp) -> None:
    """Make this the one place where errors of handlers end."""

    @app.error
    async def on_error(error: Exception, body: dict[str, Any], client: AsyncWebClient) -> None:
        await asyncio.sleep(ACK_SEEN_S)
        await tell(client, body, sentence_for(error))


def sentence_for(error: Exception) -> str:
    """What a person is told (mrkdwn). What nobody expected is in the log, under the id that the sentence names."""
    if isinstance(error, SyncError):
        return escape(error.message)
    if isinstance(error, DBAPIError):
        logger.warning("the database failed", exc_info=error)
        return escape(describe(error))
    number = secrets.token_hex(4)
    if isinstance(error, SlackClientError | aiohttp.ClientError | asyncio.TimeoutError):
        logger.error("error %s: Slack did not take a call: %s", number, _slack_word(error))
        return f"Slack did not take what was to be shown. Please try again; the log has details under `{number}`."
    logger.error("error %s: %s", number, type(error).__name__, exc_info=error)
    return f"Something unexpected happened. Please try again; the log has details under `{number}`."


async def tell(client: AsyncWebClient, body: dict[str, Any], sentence: str) -> None:
    """Tell a person where they acted that it did not work."""
    if "user_id" not in body and "user" not in body:  # an event that nobody waits for
        return
    actor = Actor.of(body)
    if body.get("type") == "view_submission":
        await change_modal(client, actor, body["view"]["id"], notice("That did not work", sentence), sentence)
    else:
        await reply_privately(client, actor, Message(sentence, [section(sentence)]))


def _slack_word(error: Exception) -> str:
    return word_of(error) if isinstance(error, SlackApiError) else type(error).__name__
