"""Audiences that are files in Slack: their addresses, and how they are fetched.

The address `slack-file:<team>/<file id>` is stored with the run; the file is downloaded by whoever plans it. What Slack
does not give at the moment is asked for again, for some minutes: a run does not fail because Slack is busy.
"""

import asyncio
import logging
from pathlib import Path
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.api_errors import ERRORS, classify
from bot.slack.clients import Clients
from core.errors import InputError
from core.sources.fetch import FetchError, name_of, save

#: The scheme of such an address.
SLACK_FILE = "slack-file"
#: Slack's words for a file that can't be had, however often one asks.
GONE = frozenset({"file_not_found", "file_deleted", "access_denied"})

# How long it waits before each repetition, in seconds: about four minutes in all.
WAITS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 60.0, 60.0)
# The longest that it waits because Slack says so, in seconds.
MOST_WAIT_S = 120.0
# How long Slack may be silent while it sends a file, in seconds.
SILENCE_S = 60.0

logger = logging.getLogger(__name__)


def address_of(team_id: str, file_id: str) -> str:
    """The address of a file in a workspace."""
    return f"{SLACK_FILE}:{team_id}/{file_id}"


class _NotNowError(Exception):
    """Slack does not give a file at the moment. `after`: how long it asks to wait, in seconds."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.after = after


class SlackFiles:
    """Downloads files with the token of the workspace that they are in."""

    def __init__(self, clients: Clients) -> None:
        """Take the clients. No I/O."""
        self._clients = clients

    async def fetch(self, address: str, directory: Path) -> Path:
        """Download a file. Raises InputError where it can't be had, FetchError where it can't be had now."""
        team_id, _, file_id = address.removeprefix(f"{SLACK_FILE}:").partition("/")
        for wait in (*WAITS_S, None):
            client = await self._clients.for_team(team_id)
            if client is None or client.token is None:
                raise InputError("The bot is not installed in the workspace that has the file. Install it there again.")
            try:
                file = await _described(client, file_id)
                path = directory / name_of(file.get("name") or file_id)
                return await _download(file["url_private_download"], client.token, path)
            except _NotNowError as error:
                if wait is None:
                    raise FetchError(f"Slack did not give the file, also after several tries ({error.why}).") from error
                logger.info("a file in Slack is asked for again: %s", error.why)
                await asyncio.sleep(wait if error.after is None else min(error.after, MOST_WAIT_S))
        raise AssertionError


async def _described(client: AsyncWebClient, file_id: str) -> dict[str, Any]:
    try:
        file: dict[str, Any] = (await client.files_info(file=file_id))["file"]
    except ERRORS as error:
        trouble = classify(error)
        if trouble.word in GONE:
            raise InputError(
                "The file is not there any more, or the bot may not see it. Put it into Slack again, in a channel "
                "that the bot is in."
            ) from error
        raise _NotNowError(trouble.word, trouble.after) from error
    return file


async def _download(url: str, token: str, path: Path) -> Path:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_S)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers=headers) as response:
            if response.status != 200:
                raise _NotNowError(f"status {response.status}", _seconds(response.headers.get("Retry-After")))
            # Without the scope files:read Slack answers 200 and a page to log in at.
            if response.content_type == "text/html":
                raise InputError("Slack does not let the bot read files. Install the app again, with its manifest.")
            return await save(response, path)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _NotNowError(type(error).__name__) from error


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdecimal() else None
