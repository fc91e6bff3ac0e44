"""Audience files in Slack: their addresses, and how to download them.

A run stores the address `slack-file:<team>/<file id>`, and the process that plans the run downloads the file. If Slack
is busy, the download is retried for some minutes.

The bot's token goes with the download. Slack's answers can name other hosts: an external file (in Google Drive, say)
has the address that it has there (docs.slack.dev/reference/objects/file-object). So the token is sent only to the host
of the Web API and those below it, and redirects are not followed.
"""

import logging
from pathlib import Path
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL

from bot.slack.api_errors import ERRORS, classify
from bot.slack.clients import Clients
from bot.slack.retry import RetryLaterError, with_retries
from core import network
from core.errors import InputError
from core.iterable.responses import parse_retry_after
from core.sources.fetch import FetchError, name_of, save

#: The scheme of these addresses.
SLACK_FILE = "slack-file"
#: Slack's error codes for a file that no retry can get.
GONE = frozenset({"file_not_found", "file_deleted", "access_denied"})

# The waits before each retry, in seconds: about four minutes in all.
WAITS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 60.0, 60.0)
# The longest Retry-After that is honored, in seconds.
MAX_WAIT_S = 120.0
# How long Slack may send nothing during a download, in seconds.
SILENCE_S = 60.0

# Without the scope files:read, files.info fails; a download is redirected to a login page, or answered 200 with one.
_NO_SCOPE = "Slack does not let the bot read files. Install the app again, with its manifest."

logger = logging.getLogger(__name__)


def address_of(team_id: str, file_id: str) -> str:
    """Return the address of a file in a workspace."""
    return f"{SLACK_FILE}:{team_id}/{file_id}"


class SlackFiles:
    """Downloads files with the token of their workspace."""

    def __init__(self, clients: Clients) -> None:
        """Take the clients. No I/O."""
        self._clients = clients

    async def fetch(self, address: str, directory: Path) -> Path:
        """Download a file into a directory, and return its path.

        Raises InputError if the file can't be downloaded, FetchError if Slack stays busy.
        """
        team_id, _, file_id = address.removeprefix(f"{SLACK_FILE}:").partition("/")

        async def download() -> Path:
            client = await self._clients.for_team(team_id)
            if client is None or client.token is None:
                raise InputError("The bot is not installed in the workspace that has the file. Install it there again.")
            try:
                file = await _file_info(client, file_id)
                path = directory / name_of(file.get("name") or file_id)
                return await _download(_address_in_slack(file, self._clients.api_url), client.token, path)
            except RetryLaterError as error:
                logger.info("could not download a file from Slack: %s", error.reason)
                raise

        try:
            return await with_retries(download, WAITS_S, MAX_WAIT_S)
        except RetryLaterError as error:
            raise FetchError(f"Slack did not give the file, even after several attempts ({error.reason}).") from error


def is_at_slack(url: URL, api_url: str) -> bool:
    """Return whether the bot's token may be sent to an address: the host of the Web API, or over HTTPS one below it."""
    api = URL(api_url)
    if url.scheme in ("http", "https") and url.origin() == api.origin():
        return True
    is_below = bool(url.host and api.host) and f".{url.host}".endswith(f".{api.host}")
    return is_below and url.scheme == "https" and url.port == 443


def _address_in_slack(file: dict[str, Any], api_url: str) -> URL:
    """Return the address of a file's content. Raises InputError if the file is not stored in Slack."""
    url = URL(file.get("url_private_download") or file.get("url_private") or "")
    if file.get("is_external") or file.get("mode") == "external" or not is_at_slack(url, api_url):
        raise InputError(
            "This file is not stored in Slack: Slack only links to it, so the bot can't read it. Download it, put the "
            "file itself into Slack, and start the sync again."
        )
    return url


async def _file_info(client: AsyncWebClient, file_id: str) -> dict[str, Any]:
    try:
        file: dict[str, Any] = (await client.files_info(file=file_id))["file"]
    except ERRORS as error:
        failure = classify(error)
        if failure.word in GONE:
            raise InputError(
                "The file no longer exists, or the bot may not see it. Put it into Slack again, in a channel "
                "that the bot is in."
            ) from error
        if failure.word == "missing_scope":
            raise InputError(_NO_SCOPE) from error
        raise RetryLaterError(failure.word, failure.after) from error
    return file


async def _download(url: URL, token: str, path: Path) -> Path:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_S)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=network.connector()) as session,
            session.get(url, headers=headers, allow_redirects=False, proxy=network.proxy_for(url)) as response,
        ):
            if 300 <= response.status < 400:
                raise _redirected(response)
            if response.status != 200:
                raise RetryLaterError(
                    f"status {response.status}", parse_retry_after(response.headers.get("Retry-After"))
                )
            if response.content_type == "text/html":
                raise InputError(_NO_SCOPE)
            return await save(response, path)
    except (aiohttp.ClientError, TimeoutError) as error:
        if fault := network.certificate_fault(error, url.host or ""):
            raise InputError(fault) from error
        raise RetryLaterError(type(error).__name__) from error


def _redirected(response: aiohttp.ClientResponse) -> InputError:
    if "redir=" in response.headers.get("Location", ""):
        return InputError(_NO_SCOPE)
    return InputError(
        "Slack sends its files from another address, to which the bot does not send its token. Download the file, put "
        "it into Slack again, and start the sync again."
    )
