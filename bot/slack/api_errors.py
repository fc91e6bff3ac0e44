"""Classifies Slack API errors: retry later, permanent, or retry with a different payload."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from core.iterable.responses import parse_retry_after

#: The code for an error without an answer from Slack.
NO_ANSWER = "no_answer"
#: Slack's code for a message that was deleted.
DELETED = "message_not_found"
#: Codes that reject the blocks of a message. Slack may accept its text alone.
TOO_MUCH = frozenset({"invalid_blocks", "msg_too_long", "msg_blocks_too_long", "invalid_blocks_format", "no_text"})

# Slack may have processed the request, at least in part.
_PERHAPS_DONE = {"fatal_error", "internal_error"}
_LATER = {"ratelimited", "rate_limited", "service_unavailable", "request_timeout", "message_limit_exceeded"}


class FailureClass(Enum):
    """What a caller can do about an error."""

    RETRY_LATER = auto()
    """Slack certainly did not process the request; a retry may succeed."""
    UNKNOWN = auto()
    """Slack may have processed the request."""
    FALL_BACK = auto()
    """Slack rejected the content; a simpler payload may succeed."""
    REFUSED = auto()
    """Slack rejected the request for good."""


@dataclass(frozen=True, slots=True)
class SlackFailure:
    """A classified error. `word` is Slack's code, `after` its Retry-After in seconds."""

    verdict: FailureClass
    word: str
    after: float | None = None


def classify(error: Exception) -> SlackFailure:
    """Classify an error of a call to Slack."""
    if isinstance(error, SlackApiError):
        return _classify_answer(error)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return SlackFailure(FailureClass.REFUSED, "untrusted_certificate")
    if isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError
    ):  # The connection failed, so the request was not sent.
        return SlackFailure(FailureClass.RETRY_LATER, "unreachable")
    return SlackFailure(FailureClass.UNKNOWN, NO_ANSWER)


#: The errors that a call to Slack may raise.
ERRORS = (SlackClientError, aiohttp.ClientError, asyncio.TimeoutError, OSError)


def _classify_answer(error: SlackApiError) -> SlackFailure:
    word, status = word_of(error), status_of(error)
    if status == 429 or word in _LATER:
        return SlackFailure(FailureClass.RETRY_LATER, word, parse_retry_after(headers_of(error).get("retry-after")))
    if word in _PERHAPS_DONE:
        return SlackFailure(FailureClass.UNKNOWN, word)
    if status >= 500:  # A gateway answered, not the API method.
        return SlackFailure(
            FailureClass.RETRY_LATER, f"status {status}", parse_retry_after(headers_of(error).get("retry-after"))
        )
    if word in TOO_MUCH:
        return SlackFailure(FailureClass.FALL_BACK, word)
    return SlackFailure(FailureClass.REFUSED, word)


def word_of(error: SlackApiError) -> str:
    """Return Slack's error code, such as channel_not_found; "unknown" if there is none."""
    data = getattr(error.response, "data", error.response)
    return str(data.get("error") or "unknown") if isinstance(data, Mapping) else "unknown"


def status_of(error: SlackApiError) -> int:
    """Return the HTTP status of the answer; 0 if it is unknown."""
    response: Any = error.response
    return int(getattr(response, "status_code", None) or getattr(response, "status", None) or 0)


def headers_of(error: SlackApiError) -> dict[str, str]:
    """Return the headers of the answer, with lower-case names."""
    headers = getattr(error.response, "headers", None) or {}
    return {str(name).lower(): str(value) for name, value in headers.items()}
