"""Handles errors of listeners: shows known errors as a sentence, logs others under an id that the person can quote.

The person sees it in the place of the action: in the modal, in the channel (ephemeral), or in a direct message.
"""

import asyncio
import logging
import re
import secrets
from typing import Any

import aiohttp
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bot.slack.actor import Actor
from bot.slack.api_errors import word_of
from bot.slack.reply import change_modal, reply_privately
from bot.ui.blocks import notice, text_message
from bot.ui.formatting import escape
from core.errors import SyncError
from core.store.database_errors import describe

# Bolt polls every 10 ms whether a listener has acknowledged. If the listener raises in between, the acknowledgement is
# lost and Slack gets none. So the error handler waits for longer than that (seconds).
ACK_SEEN_S = 0.03
# The mentions of people and user groups that core.models.people.mention writes, as `escape` leaves them. Only the
# person who acted reads the sentence, so a mention notifies no one.
_MENTION = re.compile(r"&lt;(@[UW][A-Z0-9]{1,30}|!subteam\^S[A-Z0-9]{1,30})&gt;")

logger = logging.getLogger(__name__)


def register(app: AsyncApp) -> None:
    """Register the error handler of all listeners."""

    @app.error
    async def on_error(error: Exception, body: dict[str, Any], client: AsyncWebClient) -> None:
        await asyncio.sleep(ACK_SEEN_S)
        await tell(client, body, sentence_for(error))


def sentence_for(error: Exception) -> str:
    """Return what a person reads about an error (mrkdwn). Unexpected errors are logged under the id in the sentence."""
    if isinstance(error, SyncError):
        return _MENTION.sub(r"<\1>", escape(error.message))
    if isinstance(error, DBAPIError | PoolTimeoutError):
        logger.warning("the database failed", exc_info=error)
        return escape(describe(error))
    number = secrets.token_hex(4)
    if isinstance(error, SlackClientError | aiohttp.ClientError | asyncio.TimeoutError):
        logger.error("error %s: Slack rejected a call: %s", number, _slack_word(error))
        return f"Slack rejected this message. Please try again. Error reference: `{number}`."
    logger.error("error %s: %s", number, type(error).__name__, exc_info=error)
    return f"Something unexpected happened. Please try again. Error reference: `{number}`."


async def tell(client: AsyncWebClient, body: dict[str, Any], sentence: str) -> None:
    """Show an error to the person where they acted."""
    if "user_id" not in body and "user" not in body:  # an event: no person waits for an answer
        return
    actor = Actor.of(body)
    if body.get("type") == "view_submission":
        await change_modal(client, actor, body["view"]["id"], notice("That did not work", sentence), sentence)
    else:
        await reply_privately(client, actor, text_message(sentence))


def _slack_word(error: Exception) -> str:
    return word_of(error) if isinstance(error, SlackApiError) else type(error).__name__
