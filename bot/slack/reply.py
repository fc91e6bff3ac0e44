"""Answering a person privately, where they acted; and where Slack does not take it there, in a direct message.

Nobody waits in vain: what Slack does not take for now is tried again, and what it does not show in one place is shown
in another. What may have been shown already is not said a second time in the same place.
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
from bot.ui.blocks import Message, context, notice, section
from bot.ui.formatting import plural
from bot.ui.plain_text import as_text, words_of
from core.errors import SyncError

# How long Slack may take to open or to change a modal, in seconds: a click opens one for as long.
MODAL_WITHIN_S = 3.0
# How long an answer is tried that Slack does not take for now, and the wait before the first and any repetition (s).
PATIENCE_S = 120.0
BACK_OFF_S = 1.0
MOST_BACK_OFF_S = 15.0

# Slack's words for a click that was too long ago, or that has opened something already.
_TOO_LATE = frozenset({"expired_trigger_id", "exchanged_trigger_id", "trigger_expired", "trigger_exchanged"})
#: What a person is told who asked for a form and can go on as they are.
NOT_CHANGED = "Slack could not show the form just now, and nothing was done. Press the button again in a moment."
_NOT_CONFIRMED = (
    "Slack did not confirm that you got the answer to what you did last. If you don't see it above, "
    "`/iterable-sync status` shows how everything stands."
)

logger = logging.getLogger(__name__)

_Send = Callable[..., Awaitable[Any]]


class ModalNotOpenedError(SyncError):
    """Slack did not open a modal. Only the person can have it opened: a click is good for one, and for 3 s."""

    code = "modal_not_opened"


class MessageNotDeliveredError(SyncError):
    """Slack did not show a message, or did not say whether it did."""

    code = "message_not_shown"


@dataclass(frozen=True, slots=True)
class SendResult:
    """What came of showing a message in one place: where it is, or why it is not."""

    channel: str = ""
    trouble: SlackFailure | None = None

    @property
    def perhaps(self) -> bool:
        """Whether nobody knows."""
        return self.trouble is not None and self.trouble.verdict is FailureClass.UNKNOWN


async def reply_privately(client: AsyncWebClient, actor: Actor, message: Message) -> None:
    """Show a message to one person only: in the channel where they acted, else in the conversation with the bot.

    Never raises: what Slack takes nowhere is logged.
    """
    if actor.channel is not None:
        here = await _show(partial(client.chat_postEphemeral, channel=actor.channel, user=actor.person), message)
        if here.trouble is None:
            return
        logger.info("an answer goes to a direct message: %s", here.trouble.word)
        if here.perhaps:
            note = f"You get this here because Slack did not confirm that you saw it in <#{actor.channel}>."
            message = Message(message.text, [context(note), *message.blocks])
    there = await _show_in_person(client, actor.person, message)
    if there.trouble is None:
        return
    logger.warning("an answer was not shown: %s", there.trouble.word)
    if there.perhaps:
        await _show_in_person(client, actor.person, Message(_NOT_CONFIRMED, [section(_NOT_CONFIRMED)]))
    elif actor.trigger_id:
        await _show_as_modal(client, actor, message)


async def send_direct_message(client: AsyncWebClient, person: str, message: Message) -> str:
    """Show a message in a person's conversation with the bot. Returns its channel.

    Raises NotShownError where Slack does not take it, or does not say so.
    """
    shown = await _show_in_person(client, person, message)
    if shown.trouble is not None:
        raise MessageNotDeliveredError(f"Slack did not confirm a direct message ({shown.trouble.word}).")
    return shown.channel


async def open_modal(client: AsyncWebClient, actor: Actor, view: dict[str, Any]) -> str:
    """Open a modal, on top of the one that is open where the person acted in one. Returns its id.

    Raises NotOpenedError where Slack does not, with what the person does then.
    """
    try:
        async with asyncio.timeout(MODAL_WITHIN_S):
            answer = await client.views_open(trigger_id=actor.trigger_id, view=view)
    except ERRORS as error:
        trouble = classify(error)
        logger.info("a modal was not opened: %s", trouble.word)
        raise ModalNotOpenedError(_why_not_opened(trouble)) from error
    return str(answer["view"]["id"])


async def change_modal(
    client: AsyncWebClient, actor: Actor, view_id: str, view: dict[str, Any], text: str | None = None, **more: str
) -> None:
    """Show something else in a modal. Where Slack does not, or where it has been closed, the person is told `text`
    (mrkdwn, else what the modal would have said) where they acted. `more` goes to views.update."""
    trouble = await _change(client, view_id, view, **more)
    if trouble is not None and trouble.verdict in (
        FailureClass.RETRY_LATER,
        FailureClass.UNKNOWN,
    ):  # a change can be repeated
        wait = trouble.after or 0.0
        if wait <= MODAL_WITHIN_S:
            await asyncio.sleep(wait)
            trouble = await _change(client, view_id, view, **more)
    if trouble is not None:
        logger.info("what a modal was to show is told instead: %s", trouble.word)
        said = text or words_of(view)
        await reply_privately(client, actor, Message(said, [section(said)]))


async def _change(client: AsyncWebClient, view_id: str, view: dict[str, Any], **more: str) -> SlackFailure | None:
    try:
        async with asyncio.timeout(MODAL_WITHIN_S):
            await client.views_update(view_id=view_id, view=view, **more)
    except ERRORS as error:
        return classify(error)
    return None


async def _show(send: _Send, message: Message) -> SendResult:
    """Show a message once, as text alone where Slack does not take its blocks."""
    payload = message.payload()
    for content in ({"text": payload["text"], "blocks": payload["blocks"]}, as_text(message)):
        try:
            answer = await send(**content)
        except ERRORS as error:
            trouble = classify(error)
        else:
            return SendResult(channel=str(answer.get("channel") or ""))
        if trouble.verdict is not FailureClass.FALL_BACK:
            break
    return SendResult(trouble=trouble)


async def _show_in_person(client: AsyncWebClient, person: str, message: Message) -> SendResult:
    """Show a message in a person's conversation with the bot, once Slack takes it."""
    ends, wait = time.monotonic() + PATIENCE_S, BACK_OFF_S
    while True:
        shown = await _show(partial(client.chat_postMessage, channel=person), message)
        if shown.trouble is None or shown.trouble.verdict is not FailureClass.RETRY_LATER:
            return shown
        pause = wait if shown.trouble.after is None else shown.trouble.after
        if time.monotonic() + pause > ends:
            return shown
        await asyncio.sleep(pause)
        wait = min(2 * wait, MOST_BACK_OFF_S)


async def _show_as_modal(client: AsyncWebClient, actor: Actor, message: Message) -> None:
    """Show a message over what the person looks at, if their click is still good for it."""
    try:
        await open_modal(client, actor, notice("Iterable Sync", as_text(message)["text"]))
    except ModalNotOpenedError:
        logger.warning("a person could not be told anything")


def _why_not_opened(trouble: SlackFailure) -> str:
    if trouble.word in _TOO_LATE:
        return "Slack took too long to open this. Please try again."
    if trouble.verdict is FailureClass.RETRY_LATER:
        when = f"in {plural(max(1, round(trouble.after)), 'second')}" if trouble.after is not None else "in a moment"
        return f"Slack could not open the window just now, and nothing was done. Try again {when}."
    if trouble.verdict is FailureClass.UNKNOWN:
        return "Slack did not say in time whether the window opened. If you don't see it, try again in a moment."
    return (
        f"Slack did not open the window ({trouble.word}), and nothing was done. Try again; if it stays so, tell "
        "whoever operates this program."
    )
