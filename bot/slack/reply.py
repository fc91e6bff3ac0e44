"""Replies to one person where they acted, or by direct message if Slack rejects that.

A reply is retried while Slack is busy, and sent elsewhere if Slack rejects its place. It is never sent twice to the
same place, because the first one may be there.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.actor import Actor
from bot.slack.api_errors import ERRORS, FailureClass, SlackFailure, classify
from bot.ui.blocks import Message, as_text, context, notice, text_message, words_of
from bot.ui.formatting import plural
from core.errors import SyncError

# How long Slack may take to open or to update a modal, in seconds: a click can open one for 3 s.
MODAL_WITHIN_S = 3.0
# How long a direct message is retried, and the first and the longest wait between two attempts (all in seconds).
PATIENCE_S = 120.0
BACK_OFF_S = 1.0
MOST_BACK_OFF_S = 15.0

# Slack's error codes for a click that is too old, or that has opened a modal already.
_TOO_LATE = frozenset({"expired_trigger_id", "exchanged_trigger_id", "trigger_expired", "trigger_exchanged"})
#: Shown if a form could not be opened in a modal that is open already.
NOT_CHANGED = "Slack could not show the form just now, and nothing was done. Press the button again in a moment."
_NOT_CONFIRMED = (
    "Slack did not confirm that you got the answer to what you did last. If you don't see it above, "
    "`/iterable-sync status` shows how everything stands."
)

logger = logging.getLogger(__name__)

_Send = Callable[..., Awaitable[Any]]


class ModalNotOpenedError(SyncError):
    """Slack did not open a modal. The person has to click again: a click opens one modal, within 3 s."""

    code = "modal_not_opened"


class MessageNotDeliveredError(SyncError):
    """Slack did not post a message, or did not confirm it."""

    code = "message_not_shown"


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of posting to one place: the channel, or the failure."""

    channel: str = ""
    failure: SlackFailure | None = None

    @property
    def may_be_shown(self) -> bool:
        """Whether Slack may show the message although it did not confirm it."""
        return self.failure is not None and self.failure.verdict is FailureClass.UNKNOWN


async def reply_privately(client: AsyncWebClient, actor: Actor, message: Message) -> None:
    """Show a message to one person: in the channel where they acted, otherwise as a direct message, finally as a modal.

    Never raises: if all fail, the log says so.
    """
    if actor.channel is not None:
        in_channel = await _show(partial(client.chat_postEphemeral, channel=actor.channel, user=actor.person), message)
        if in_channel.failure is None:
            return
        logger.info("replying by direct message instead: %s", in_channel.failure.word)
        if in_channel.may_be_shown:
            note = f"You get this here because Slack did not confirm that you saw it in <#{actor.channel}>."
            message = Message(message.text, [context(note), *message.blocks])
    in_dm = await _show_in_person(client, actor.person, message)
    if in_dm.failure is None:
        return
    logger.warning("could not show a reply: %s", in_dm.failure.word)
    if in_dm.may_be_shown:
        await _show_in_person(client, actor.person, text_message(_NOT_CONFIRMED))
    elif actor.trigger_id:
        await _show_as_modal(client, actor, message)


async def send_direct_message(client: AsyncWebClient, person: str, message: Message) -> str:
    """Post a message in a person's conversation with the bot, and return its channel.

    Raises MessageNotDeliveredError if Slack rejects it, or does not confirm it.
    """
    shown = await _show_in_person(client, person, message)
    if shown.failure is not None:
        raise MessageNotDeliveredError(f"Slack did not confirm a direct message ({shown.failure.word}).")
    return shown.channel


async def open_modal(client: AsyncWebClient, actor: Actor, view: dict[str, Any]) -> str:
    """Open a modal (on top of the modal that the person acted in), and return its id.

    Raises ModalNotOpenedError if Slack does not open it, with advice for the person.
    """
    try:
        async with asyncio.timeout(MODAL_WITHIN_S):
            answer = await client.views_open(trigger_id=actor.trigger_id, view=view)
    except ERRORS as error:
        failure = classify(error)
        logger.info("could not open a modal: %s", failure.word)
        raise ModalNotOpenedError(_why_not_opened(failure)) from error
    return str(answer["view"]["id"])


async def change_modal(
    client: AsyncWebClient, actor: Actor, view_id: str, view: dict[str, Any], text: str | None = None, **more: str
) -> None:
    """Update a modal.

    If Slack does not, or if the person has closed it, they get `text` (mrkdwn; by default the words of the modal) where
    they acted. `more` goes to views.update.
    """
    failure = await _change(client, view_id, view, **more)
    if failure is not None and failure.verdict in (
        FailureClass.RETRY_LATER,
        FailureClass.UNKNOWN,
    ):  # repeating an update is harmless
        wait = failure.after or 0.0
        if wait <= MODAL_WITHIN_S:
            await asyncio.sleep(wait)
            failure = await _change(client, view_id, view, **more)
    if failure is not None:
        logger.info("could not update a modal, replying instead: %s", failure.word)
        sentence = text or words_of(view)
        await reply_privately(client, actor, text_message(sentence))


async def _change(client: AsyncWebClient, view_id: str, view: dict[str, Any], **more: str) -> SlackFailure | None:
    try:
        async with asyncio.timeout(MODAL_WITHIN_S):
            await client.views_update(view_id=view_id, view=view, **more)
    except ERRORS as error:
        return classify(error)
    return None


async def _show(send: _Send, message: Message) -> SendResult:
    """Send a message, and its text alone if Slack rejects its blocks."""
    payload = message.payload()
    for content in ({"text": payload["text"], "blocks": payload["blocks"]}, as_text(message)):
        try:
            answer = await send(**content)
        except ERRORS as error:
            failure = classify(error)
        else:
            return SendResult(channel=str(answer.get("channel") or ""))
        if failure.verdict is not FailureClass.FALL_BACK:
            break
    return SendResult(failure=failure)


async def _show_in_person(client: AsyncWebClient, person: str, message: Message) -> SendResult:
    """Post a direct message, with retries while Slack is busy."""
    ends, wait = time.monotonic() + PATIENCE_S, BACK_OFF_S
    while True:
        shown = await _show(partial(client.chat_postMessage, channel=person), message)
        if shown.failure is None or shown.failure.verdict is not FailureClass.RETRY_LATER:
            return shown
        pause = wait if shown.failure.after is None else shown.failure.after
        if time.monotonic() + pause > ends:
            return shown
        await asyncio.sleep(pause)
        wait = min(2 * wait, MOST_BACK_OFF_S)


async def _show_as_modal(client: AsyncWebClient, actor: Actor, message: Message) -> None:
    """Show a message in a modal, if the click is recent enough."""
    try:
        await open_modal(client, actor, notice("Iterable Sync", as_text(message)["text"]))
    except ModalNotOpenedError:
        logger.warning("could not reply to a person")


def _why_not_opened(failure: SlackFailure) -> str:
    if failure.word in _TOO_LATE:
        return "Slack took too long to open this. Please try again."
    if failure.verdict is FailureClass.RETRY_LATER:
        when = f"in {plural(max(1, round(failure.after)), 'second')}" if failure.after is not None else "in a moment"
        return f"Slack could not open the window just now, and nothing was done. Try again {when}."
    if failure.verdict is FailureClass.UNKNOWN:
        return "Slack did not say in time whether the window opened. If you don't see it, try again in a moment."
    return (
        f"Slack did not open the window ({failure.word}), and nothing was done. Try again; if it stays so, tell "
        "whoever operates this program."
    )
