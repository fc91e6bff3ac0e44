"""What an error of Slack's Web API says, whatever shape the answer had (a gateway answers in no shape at all)."""

from collections.abc import Mapping
from typing import Any

from slack_sdk.errors import SlackApiError


def word_of(error: SlackApiError) -> str:
    """Slack's word for it, such as channel_not_found; where there is none, "unknown"."""
    data = getattr(error.response, "data", error.response)
    return str(data.get("error") or "unknown") if isinstance(data, Mapping) else "unknown"


def status_of(error: SlackApiError) -> int:
    """The HTTP status of the answer; 0 where it is not known."""
    response: Any = error.response
    return int(getattr(response, "status_code", None) or getattr(response, "status", None) or 0)


def headers_of(error: SlackApiError) -> dict[str, str]:
    """The headers of the answer, by their names in lower case."""
    headers = getattr(error.response, "headers", None) or {}
    return {str(name).lower(): str(value) for name, value in headers.items()}
