"""What it means when Slack does not take a message: try again, never again, or not like this."""

import asyncio
from dataclasses import dataclass
from enum import Enum, auto

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.slack.errors import headers_of, status_of, word_of

#: What stands for an error without a word of Slack's.
NO_ANSWER = "no_answer"
#: The message is not there any more: somebody has deleted it.
DELETED = "message_not_found"
#: The blocks were at fault: the text alone may be taken.
TOO_MUCH = frozenset({"invalid_blocks", "msg_too_long", "msg_blocks_too_long", "invalid_blocks_format", "no_text"})

# Slack says that part of it may have been done.
_PERHAPS_DONE = {"fatal_error", "internal_error"}
_LATER = {"ratelimited", "rate_limited", "service_unavailable", "request_timeout", "message_limit_exceeded"}


class FailureClass(Enum):
    """What is to be done."""

    RETRY_LATER = auto()
    """It was certainly not taken, and may be later."""
    UNKNOWN = auto()
    """Nobody knows whether it was taken."""
    FALL_BACK = auto()
    """The content was not taken; another form of it may be."""
    REFUSED = auto()
    """It is not taken there."""


@dataclass(frozen=True, slots=True)
class SlackFailure:
    """Why Slack did not take a message. `after`: seconds that Slack asks to wait for."""

    verdict: FailureClass
    word: str
    after: float | None = None


def classify(error: Exception) -> SlackFailure:
    """Judge an error of a call to Slack."""
    if isinstance(error, SlackApiError):
        return _said(error)
    if isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError
    ):  # nobody was there: nothing has left
        return SlackFailure(FailureClass.RETRY_LATER, "unreachable")
    return SlackFailure(FailureClass.UNKNOWN, NO_ANSWER)


#: Errors that calls to Slack may raise.
ERRORS = (SlackClientError, aiohttp.ClientError, asyncio.TimeoutError, OSError)


def _said(error: SlackApiError) -> SlackFailure:
    word, status = word_of(error), status_of(error)
    if status == 429 or word in _LATER:
        return SlackFailure(FailureClass.RETRY_LATER, word, _seconds(headers_of(error).get("retry-after")))
    if word in _PERHAPS_DONE:
        return SlackFailure(FailureClass.UNKNOWN, word)
    if status >= 500:  # a gateway's answer, not the method's
        return SlackFailure(
            FailureClass.RETRY_LATER, f"status {status}", _seconds(headers_of(error).get("retry-after"))
        )
    if word in TOO_MUCH:
        return SlackFailure(FailureClass.FALL_BACK, word)
    return SlackFailure(FailureClass.REFUSED, word)


def _seconds(header: str | None) -> float | None:
    try:
        return None if header is None else max(0.0, float(header))
    except ValueError:
        return None
